#!/bin/sh
# What somebody who runs Kafka Connect may have at hand: curl and jq, and nothing that
# knows Backstitch. connect.sh URL ACTION [CONNECTOR]
set -eu
url=$1 action=$2 connector=${3:-}

get() { curl -sSf "$url$1"; }
change() { curl -sS --fail-with-body -X "$1" -H 'Content-Type: application/json' -o /dev/stderr -w '%{http_code}\n' "$url$2" ${3:+--data "$3"}; }
failed() { get '/connectors?expand=status' | jq -r 'to_entries[] | .value.status | .name as $name | .tasks[] | select(.state == "FAILED") | "\($name)/tasks/\(.id)"'; }

# await FILTER: until jq finds it true of the connector's status.
await() {
  deadline=$(($(date +%s) + 90))
  until get "/connectors/$connector/status" | jq -e "$1" >/dev/null; do
    [ "$(date +%s)" -lt "$deadline" ] || { get "/connectors/$connector/status" >&2; exit 1; }
    sleep 0.2
  done
}

case $action in
failed) failed ;;
restart-failed) for task in $(failed); do change POST "/connectors/$task/restart"; done ;;
restart-all) curl -sSf -X POST "$url/connectors/$connector/restart?includeTasks=true&onlyFailed=true" | jq -r '.tasks[] | select(.state == "RESTARTING") | .id' ;;
pause)
  change PUT "/connectors/$connector/pause"
  await '.connector.state == "PAUSED" and (.tasks | length > 0) and all(.tasks[]; .state == "PAUSED")' ;;
resume)
  change PUT "/connectors/$connector/resume"
  await '.connector.state == "RUNNING" and (.tasks | length > 0) and all(.tasks[]; .state == "RUNNING")' ;;
stop)
  change PUT "/connectors/$connector/stop"
  await '.connector.state == "STOPPED" and .tasks == []' ;;
offsets) get "/connectors/$connector/offsets" | jq -c . ;;
rewind) change PATCH "/connectors/$connector/offsets" "$(get "/connectors/$connector/offsets" | jq -c '.offsets |= map(.offset.kafka_offset = 0)')" ;;
reset) change DELETE "/connectors/$connector/offsets" ;;
level) change PUT /admin/loggers/root "{\"level\":\"$connector\"}" && get /admin/loggers/root | jq -r .level ;;
trace) get "/connectors/$connector/status" | jq -r '[.tasks[].trace // empty] | unique[]' ;;
esac
