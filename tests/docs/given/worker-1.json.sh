# The other part.
relay-monitor load --target embedded --connections 20 --ramp-up 1 --worker 1/2 --test-id one --output worker-1.json
