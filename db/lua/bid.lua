-- Decides offers on one auction in order: the twin of src/auctions/rules.rs. Accepted ones are
-- appended to the auction's log under their sequence, until they are known to be committed.
-- KEYS[1] state, KEYS[2] log, KEYS[3] channel. ARGV[1] label of the owner, ARGV[2] the sequence that
-- the caller expects, ARGV[3] highest committed sequence, ARGV[4] and ARGV[5] time to live of state
-- and log in ms, ARGV[6] what is published before the sequence; then for each offer the time at which
-- it counts in ms, bidder, amount, maximum and bid_id. Answers -1 if the state is not this owner's,
-- or not as it expects; else for each offer its verdict and what belongs to it. All numbers stay
-- below 2^53, where a Lua number is exact; times and sequences stay below 10^14, where one is written
-- in full.
-- Neither replicas nor the append-only file need any of it: a server of another run never reads it.
redis.set_repl(redis.REPL_NONE)
local raw = redis.call('GET', KEYS[1])
if not raw or string.byte(raw) == 102 then return -1 end
local s = cmsgpack.unpack(raw)
if s[1] ~= ARGV[1] or s[9] ~= tonumber(ARGV[2]) then return -1 end
local seller, start_price, reserve, buy_now = s[2], s[3], s[4], s[5]
local start_at, window, extensions = s[6], s[7], s[8]
local sequence, price, leader, max = s[9], s[10], s[11], s[12]
local ends, extended, last = s[13], s[14], s[15]

local function increment(of)
  for i = #s - 1, 17, -2 do
    if s[i] <= of then return s[i + 1] end
  end
  return 1
end

local answer, said = {}, 0
local function say(first, second, third)
  answer[said + 1], answer[said + 2], answer[said + 3] = first, second, third
  said = said + (third and 3 or second and 2 or 1)
end

-- Who leads after the offer, and at which price. False, and what to say, if it is refused.
local function resolve(bidder, amount, most)
  local buys = buy_now > 0 and amount >= buy_now
  local minimum = start_price
  if sequence > 0 then minimum = price + increment(price) end
  if buy_now > 0 then minimum = math.min(minimum, buy_now) end
  if sequence > 0 and leader == bidder and not buys then
    if most <= amount or most <= max then return false, 4, price, minimum end
    max = most
  elseif amount < minimum and not buys then
    return false, 5, price, minimum
  elseif buys then
    leader, max, price = bidder, amount, buy_now
  elseif sequence == 0 then
    leader, max, price = bidder, most, amount
  elseif most > max then
    local beats = max + increment(max)
    leader, max, price = bidder, most, math.max(amount, math.min(beats, most))
  else
    price = math.min(most + increment(most), max)
  end
  if price < reserve and max >= reserve then price = reserve end
  if buy_now > 0 then price = math.min(price, buy_now) end
  return true
end

local before = sequence
for i = 7, #ARGV, 5 do
  local now, bidder = tonumber(ARGV[i]), tonumber(ARGV[i + 1])
  local amount, most = tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3])
  local at = math.max(now, last)
  if now + 1000 < last then
    say(6)
  elseif at < start_at then
    say(1)
  elseif at >= ends or (sequence > 0 and buy_now > 0 and price >= buy_now) then
    say(2, ends)
  elseif bidder == seller then
    say(3)
  else
    local accepted, why, first, second = resolve(bidder, amount, most)
    if accepted then
      sequence, last = sequence + 1, at
      if buy_now > 0 and price >= buy_now then
        ends = at
      elseif ends - at < window and extended < extensions then
        ends, extended = at + window, extended + 1
      end
      local offer = ARGV[i + 1] .. ' ' .. ARGV[i + 2] .. ' ' .. ARGV[i + 3]
      redis.call('XADD', KEYS[2], sequence .. '-0', 'b', offer .. ' ' .. at .. ' ' .. ARGV[i + 4])
      say(0, price, leader)
      say(max, ends, extended)
      say(at)
    else
      say(why, first, second)
    end
  end
end
if sequence == before then return answer end

local committed = tonumber(ARGV[3])
if s[16] < 0 or committed - s[16] >= 64 then
  redis.call('XTRIM', KEYS[2], 'MAXLEN', '~', math.max(sequence - committed, 0))
  redis.call('PEXPIRE', KEYS[2], ARGV[5])
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
  s[16] = committed
end
s[9], s[10], s[11], s[12] = sequence, price, leader, max
s[13], s[14], s[15] = ends, extended, last
redis.call('SET', KEYS[1], cmsgpack.pack(s), 'KEEPTTL')
redis.call('PUBLISH', KEYS[3], ARGV[6] .. ' ' .. sequence)
return answer
