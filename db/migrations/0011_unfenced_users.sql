-- Users that were changed while a daemon could not reach Redis: what Redis holds of them, up to this
-- version, is old. Every daemon that reaches it puts a fence there and takes the line away.
CREATE TABLE IF NOT EXISTS unfenced_users (
  user_id BIGINT UNSIGNED NOT NULL,
  version BIGINT UNSIGNED NOT NULL,
  PRIMARY KEY (user_id)
) ENGINE = InnoDB
