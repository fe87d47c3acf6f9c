-- Users that no board shows or counts.
CREATE TABLE IF NOT EXISTS hidden_users (
  user_id BIGINT UNSIGNED NOT NULL,
  PRIMARY KEY (user_id)
) ENGINE = InnoDB
