-- Auctions that somebody keeps an eye on.
CREATE TABLE IF NOT EXISTS auction_watches (
  user_id BIGINT UNSIGNED NOT NULL,
  auction_id BIGINT UNSIGNED NOT NULL,
  PRIMARY KEY (user_id, auction_id)
) ENGINE = InnoDB
