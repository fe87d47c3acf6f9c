-- Answers to rating events, kept for a day so that the same event changes nothing twice. The digest
-- tells another change of the same name. A match has two players.
CREATE TABLE IF NOT EXISTS rating_events (
  event_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  digest BINARY(16) NOT NULL,
  before_1 INT NOT NULL,
  after_1 INT NOT NULL,
  before_2 INT NULL,
  after_2 INT NULL,
  at DATETIME(3) NOT NULL,
  PRIMARY KEY (event_id),
  KEY rating_events_at (at)
) ENGINE = InnoDB
