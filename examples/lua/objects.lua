-- Objects with methods and closures: a bank of accounts.
local scale = ...

local Account = {}
Account.__index = Account

function Account.new(name)
  return setmetatable({name = name, balance = 0, log = {}}, Account)
end

function Account:pay(amount)
  local before = self.balance
  self.balance = before + amount
  self.log[#self.log + 1] = function() self.balance = before end
end

local accounts = {}
for i = 1, 2000 do accounts[i] = Account.new("account " .. i) end
for i = 1, 15000 * scale do accounts[i * 7919 % 2000 + 1]:pay(i % 100) end
local sum = 0
for _, account in ipairs(accounts) do
  for i = #account.log, #account.log // 2 + 1, -1 do account.log[i]() end
  sum = sum + account.balance
end
return sum
