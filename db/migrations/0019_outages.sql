-- Times in which no bid could be taken. Auctions that were live then end later by as much: open ones
-- are extended by one outage after the other, each in order of their ids up to `extended_to`, until
-- it is done. What that misses knows it: `auctions.outages`.
CREATE TABLE IF NOT EXISTS outages (
  epoch BIGINT UNSIGNED NOT NULL,
  began_at_ms BIGINT NOT NULL,
  ended_at_ms BIGINT NOT NULL,
  extended_to BIGINT UNSIGNED NOT NULL DEFAULT 0,
  is_done BOOLEAN NOT NULL DEFAULT FALSE,
  PRIMARY KEY (epoch),
  KEY outages_done (is_done, epoch)
) ENGINE = InnoDB
