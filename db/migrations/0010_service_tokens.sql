-- Tokens of programs and moderators. A token is "souk_" and base64url of 8 bytes id and 24 random
-- bytes; only the BLAKE3 hash of its text is kept.
CREATE TABLE IF NOT EXISTS service_tokens (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  role VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  label VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci NOT NULL,
  hash BINARY(32) NOT NULL,
  created_at DATETIME(3) NOT NULL,
  revoked_at DATETIME(3) NULL,
  PRIMARY KEY (id),
  UNIQUE KEY service_tokens_hash (hash)
) ENGINE = InnoDB
