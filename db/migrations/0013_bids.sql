-- Accepted bids, each a link of its auction's chain. Price, leader and end are those after it. The
-- index finds a user's auctions, and the first answer to a bid_id. The last four are what else the
-- auction's row takes over from its last bid, and the version and outages that it was decided with.
CREATE TABLE IF NOT EXISTS bids (
  auction_id BIGINT UNSIGNED NOT NULL,
  sequence BIGINT UNSIGNED NOT NULL,
  bidder_id BIGINT UNSIGNED NOT NULL,
  amount BIGINT NOT NULL,
  max_amount BIGINT NOT NULL,
  price BIGINT NOT NULL,
  leader_id BIGINT UNSIGNED NOT NULL,
  at_ms BIGINT NOT NULL,
  ends_at_ms BIGINT NOT NULL,
  head BINARY(32) NOT NULL,
  bid_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NULL,
  leader_max BIGINT NOT NULL,
  extended INT UNSIGNED NOT NULL,
  outage_ms BIGINT NOT NULL,
  version BIGINT UNSIGNED NOT NULL,
  PRIMARY KEY (auction_id, sequence),
  KEY bids_bidder (bidder_id, auction_id, bid_id)
) ENGINE = InnoDB
