-- Stops bids on an auction, whoever takes them, so that its state can be made anew.
-- KEYS[1] state, KEYS[2] log. ARGV[1] the fence, which begins with 'f', the owner and a colon;
-- ARGV[2] how many bytes of it name the owner; ARGV[3] its time to live in ms, in which the state
-- must be made. Answers 1, or 0 while another owner's fence stands. What is no state and no log
-- goes.
local function kind(key) return redis.call('TYPE', key)['ok'] end
if kind(KEYS[1]) == 'string' then
  local held = redis.call('GET', KEYS[1])
  local length = tonumber(ARGV[2])
  if string.byte(held) == 102 and string.sub(held, 1, length) ~= string.sub(ARGV[1], 1, length) then
    -- One that never ends is none of ours.
    if redis.call('PTTL', KEYS[1]) > 0 then return 0 end
  end
else
  redis.call('DEL', KEYS[1])
end
local log = kind(KEYS[2])
if log ~= 'stream' and log ~= 'none' then redis.call('DEL', KEYS[2]) end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
return 1
