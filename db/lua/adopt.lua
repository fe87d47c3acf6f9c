-- Puts the state of an auction behind a fence, if the fence still stands; the log begins anew, for
-- all of it is committed. KEYS[1] state, KEYS[2] log. ARGV[1] the fence, ARGV[2] time to live in
-- ms, ARGV[3] the owner's label; then numbers: seller, start price, reserve, buy-now price, start,
-- window, extensions at most, sequence, price, leader, leader's maximum, end, extensions, time of
-- the last bid; then the table of increments in pairs. Answers 1 if it was put, else 0.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
local s = {ARGV[3]}
for i = 4, 17 do s[#s + 1] = tonumber(ARGV[i]) end
s[#s + 1] = -1 -- the log was never trimmed
for i = 18, #ARGV do s[#s + 1] = tonumber(ARGV[i]) end
redis.call('DEL', KEYS[2])
redis.call('SET', KEYS[1], cmsgpack.pack(s), 'PX', ARGV[2])
return 1
