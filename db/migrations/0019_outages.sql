-- Times in which no bid could be taken. Auctions that were live then end later by as much.
CREATE TABLE IF NOT EXISTS outages (
  epoch BIGINT UNSIGNED NOT NULL,
  began_at_ms BIGINT NOT NULL,
  ended_at_ms BIGINT NOT NULL,
  PRIMARY KEY (epoch)
) ENGINE = InnoDB
