#!/bin/sh
# Collect the results of a load Job from the logs of its pods, and merge them: collect.sh [JOB [FOLDER]]
set -eu
job=${1:-relay-load}
folder=${2:-results}
mkdir -p "$folder"

count=$(kubectl get job "$job" -o 'jsonpath={.spec.completions}')
echo "waiting for the $count pods of $job" >&2
until done=$(kubectl get job "$job" -o 'jsonpath={.status.conditions[?(@.status=="True")].type}') &&
    case $done in *Complete* | *Failed*) true ;; *) false ;; esac; do
    sleep 5
done

index=0
while [ "$index" -lt "$count" ]; do
    pod=$(kubectl get pods -l "batch.kubernetes.io/job-name=$job,batch.kubernetes.io/job-completion-index=$index" \
        -o 'jsonpath={.items[*].metadata.name}')
    pod=${pod%% *}
    if [ -n "$pod" ] && kubectl logs "$pod" | grep '^{ *"schemaVersion"' > "$folder/$index.json"; then
        echo "$pod: $folder/$index.json" >&2
    else
        rm -f "$folder/$index.json"
        echo "${pod:-index $index, without a pod}: no result" >&2
    fi
    index=$((index + 1))
done

# Reports missing results; exits 1 if one is missing or an objective is missed.
exec relay-monitor merge "$folder"/[0-9]*.json --output "$folder/merged.json" --report "$folder/merged.html"
