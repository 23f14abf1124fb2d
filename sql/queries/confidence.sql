-- name: calibration_of
SELECT rag.calibration_of(%(version_id)s, %(mode)s) AS learned;

-- name: put_calibration
INSERT INTO rag.calibration (index_name, fingerprint, mode, learned)
VALUES (%(index_name)s, %(fingerprint)s, %(mode)s, %(learned)s)
ON CONFLICT (index_name, fingerprint, mode) DO UPDATE SET learned = EXCLUDED.learned, learned_at = now();
