-- When bids could be taken last, by the clock of this server; 0 for never. `epoch` counts the outages.
CREATE TABLE IF NOT EXISTS auction_clock (
  one TINYINT UNSIGNED NOT NULL,
  alive_at_ms BIGINT NOT NULL,
  epoch BIGINT UNSIGNED NOT NULL,
  PRIMARY KEY (one)
) ENGINE = InnoDB
