-- What users are told. The same is never told twice.
CREATE TABLE IF NOT EXISTS notifications (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  user_id BIGINT UNSIGNED NOT NULL,
  kind ENUM('won', 'sold_out', 'not_sold') NOT NULL,
  auction_id BIGINT UNSIGNED NOT NULL,
  at_ms BIGINT NOT NULL,
  is_read BOOLEAN NOT NULL DEFAULT FALSE,
  PRIMARY KEY (id),
  UNIQUE KEY notifications_once (auction_id, kind, user_id),
  KEY notifications_user (user_id, is_read, id)
) ENGINE = InnoDB
