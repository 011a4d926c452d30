# One part of a load test of two.
relay-monitor load --target embedded --connections 20 --ramp-up 1 --worker 0/2 --test-id one --output worker-0.json
