"""Secrets in AWS Secrets Manager: ``${aws-sm:rag/database#password}``.

The place is a name or an ARN. Login and region are what any program of AWS finds: environment, profile, the
role of the machine or pod.
"""

from __future__ import annotations

import botocore.session
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    HTTPClientError,
    NoCredentialsError,
    NoRegionError,
)

from rag_pipelines.errors import ConfigError, CredentialError, TransientError
from rag_pipelines.secrets.references import MissingSecretError

_PASSING = {"InternalServiceError", "ThrottlingException", "RequestLimitExceeded", "ServiceUnavailable"}


def read(place: str) -> str:
    """The text of a secret in its current version. Raises as `references.read` says."""
    region = place.split(":")[3] if place.startswith("arn:") and place.count(":") > 3 else None
    try:
        client = botocore.session.get_session().create_client(
            "secretsmanager", region_name=region, config=Config(connect_timeout=5, read_timeout=10)
        )
        answer = client.get_secret_value(SecretId=place)
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if code == "ResourceNotFoundException":
            raise MissingSecretError(f"AWS Secrets Manager has no secret {place}") from None
        if code in _PASSING:
            raise TransientError(f"AWS Secrets Manager does not answer: {code}") from error
        raise CredentialError(f"AWS Secrets Manager refuses to read {place}: {code}") from error
    except NoRegionError as error:
        raise ConfigError("AWS has no region; set AWS_REGION, or give the secret's ARN") from error
    except NoCredentialsError as error:
        raise CredentialError("AWS finds no credentials: give the machine or pod a role") from error
    except (ConnectionError, HTTPClientError) as error:
        raise TransientError(f"AWS Secrets Manager cannot be reached: {type(error).__name__}") from error
    except BotoCoreError as error:
        raise ConfigError(f"AWS Secrets Manager cannot be asked: {type(error).__name__}") from error
    if "SecretString" not in answer:
        raise ConfigError(f"the secret {place} of AWS is binary; only texts can be referred to")
    return str(answer["SecretString"])
