"""The systems that the conformance kit is run on: the rows of its table.

What belongs here: the list. What does not: the worlds themselves; each connector's have a module.
"""

from __future__ import annotations

from rag_pipelines_tests.connectors.confluence_world import ConfluenceCloud, ConfluenceDataCenter
from rag_pipelines_tests.connectors.conformance import World
from rag_pipelines_tests.connectors.emulated_stores_world import AzureStore, GoogleStore
from rag_pipelines_tests.connectors.filesystem_world import LocalFiles, ObjectStore, S3Store
from rag_pipelines_tests.connectors.git_world import LocalGit, RemoteGit
from rag_pipelines_tests.connectors.google_drive_world import MyDrives, SharedDrives
from rag_pipelines_tests.connectors.jira_world import JiraCloud, JiraDataCenter
from rag_pipelines_tests.connectors.push_world import PushedDocuments
from rag_pipelines_tests.connectors.records_world import Csv, JsonLines, Sql
from rag_pipelines_tests.connectors.servicenow_world import ServiceNowKnowledge
from rag_pipelines_tests.connectors.sharepoint_world import SharePoint
from rag_pipelines_tests.connectors.web_world import Web
from rag_pipelines_tests.connectors.zendesk_world import ZendeskGuide

WORLDS: tuple[type[World], ...] = (
    LocalFiles,
    ObjectStore,
    S3Store,
    GoogleStore,
    AzureStore,
    LocalGit,
    RemoteGit,
    PushedDocuments,
    JsonLines,
    Csv,
    Sql,
    ConfluenceCloud,
    ConfluenceDataCenter,
    JiraCloud,
    JiraDataCenter,
    ServiceNowKnowledge,
    SharePoint,
    Web,
    SharedDrives,
    MyDrives,
    ZendeskGuide,
)
