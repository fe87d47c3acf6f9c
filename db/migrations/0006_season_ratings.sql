-- Players of a season. The name is that under which the player was last rated.
CREATE TABLE IF NOT EXISTS season_ratings (
  season BIGINT UNSIGNED NOT NULL,
  user_id BIGINT UNSIGNED NOT NULL,
  username VARCHAR(32) CHARACTER SET ascii COLLATE ascii_general_ci NOT NULL,
  rating INT NOT NULL,
  PRIMARY KEY (season, user_id),
  KEY season_ratings_order (season, rating DESC, username)
) ENGINE = InnoDB
