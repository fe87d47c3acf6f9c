-- How many players a board has at each rating: the whole order statistic, changed in the transaction
-- that changes the players.
CREATE TABLE IF NOT EXISTS rating_counts (
  board BIGINT UNSIGNED NOT NULL,
  rating INT NOT NULL,
  players BIGINT NOT NULL,
  PRIMARY KEY (board, rating)
) ENGINE = InnoDB
