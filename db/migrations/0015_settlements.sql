-- How auctions came out: one line for each, written in the transaction that ends it.
CREATE TABLE IF NOT EXISTS settlements (
  auction_id BIGINT UNSIGNED NOT NULL,
  outcome ENUM('sold', 'reserve_not_met', 'no_bids') NOT NULL,
  seller_id BIGINT UNSIGNED NOT NULL,
  winner_id BIGINT UNSIGNED NULL,
  currency CHAR(3) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  price BIGINT NOT NULL,
  bids BIGINT UNSIGNED NOT NULL,
  head BINARY(32) NOT NULL,
  settled_at_ms BIGINT NOT NULL,
  PRIMARY KEY (auction_id)
) ENGINE = InnoDB
