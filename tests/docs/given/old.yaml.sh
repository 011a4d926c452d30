# The configuration before a change that changes nothing.
cp tests/docs/given/prod.yaml old.yaml
