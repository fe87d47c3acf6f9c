-- POST of logins. Arguments: highest user number.
local highest = 200

function init(args)
  highest = tonumber(args[1]) or highest
  math.randomseed(os.time())
  wrk.headers["Content-Type"] = "application/json"
end

function request()
  local body = '{"username":"user' .. math.random(highest) .. '","password":"password"}'
  return wrk.format("POST", "/api/v1/login", nil, body)
end
