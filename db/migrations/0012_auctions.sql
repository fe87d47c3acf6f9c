-- Auctions. Money is in minor units of the currency. Times are Unix milliseconds: ends move by sums.
-- `sequence` is the number of accepted bids, `head` the end of their chain. `ends_at_ms` is the
-- effective end, `outage_ms` the part of it that was added because bids could not be taken, and
-- `outages` says up to which outage.
CREATE TABLE IF NOT EXISTS auctions (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  seller_id BIGINT UNSIGNED NOT NULL,
  phase ENUM('open', 'ended', 'cancelled') NOT NULL DEFAULT 'open',
  outcome ENUM('sold', 'reserve_not_met', 'no_bids') NULL,
  start_at_ms BIGINT NOT NULL,
  ends_at_ms BIGINT NOT NULL,
  outage_ms BIGINT NOT NULL DEFAULT 0,
  outages BIGINT UNSIGNED NOT NULL DEFAULT 0,
  extended INT UNSIGNED NOT NULL DEFAULT 0,
  sequence BIGINT UNSIGNED NOT NULL DEFAULT 0,
  price BIGINT NOT NULL DEFAULT 0,
  leader_id BIGINT UNSIGNED NOT NULL DEFAULT 0,
  leader_max BIGINT NOT NULL DEFAULT 0,
  last_at_ms BIGINT NOT NULL DEFAULT 0,
  head BINARY(32) NOT NULL,
  salt BINARY(16) NOT NULL,
  version BIGINT UNSIGNED NOT NULL DEFAULT 1,
  currency CHAR(3) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  start_price BIGINT NOT NULL,
  reserve BIGINT NULL,
  buy_now BIGINT NULL,
  soft_window_ms BIGINT NOT NULL DEFAULT 0,
  extensions_max INT UNSIGNED NOT NULL DEFAULT 0,
  increments VARCHAR(1024) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  picture VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '',
  created_at_ms BIGINT NOT NULL,
  title VARCHAR(120) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  description TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  PRIMARY KEY (id),
  KEY auctions_end (phase, ends_at_ms, id),
  KEY auctions_start (phase, start_at_ms, id),
  KEY auctions_outages (phase, outages, id),
  KEY auctions_seller (seller_id, id)
) ENGINE = InnoDB
