-- Boards: number 0 is that of all time, the others are seasons, which run from their start to their
-- end (none: open). A board's version grows in the transaction that changes its counts.
CREATE TABLE IF NOT EXISTS boards (
  id BIGINT UNSIGNED NOT NULL,
  name VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci NOT NULL,
  starts_at DATETIME(3) NOT NULL,
  ends_at DATETIME(3) NULL,
  version BIGINT UNSIGNED NOT NULL DEFAULT 1,
  PRIMARY KEY (id)
) ENGINE = InnoDB
