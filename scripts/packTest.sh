#!/usr/bin/env bash
# Packs the package, installs the tarball in an empty folder, and uses it there: one job from end to end, and the types.
# Needs jq, and what `npm ci` installs.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
folder=$(mktemp -d)
data=$folder/data
consumer=$folder/consumer

queuectl() { npx --no -- queuectl --data-dir "$data" "$@"; }

clean_up() {
  if [[ -d $data ]]; then (cd "$consumer" && queuectl worker-stop >/dev/null) || true; fi
  rm -rf "$folder"
}
trap clean_up EXIT

wait_until_completed() {
  local deadline=$((SECONDS + 30))
  until queuectl status --json | jq --exit-status '.completed == 1' >/dev/null; do
    if ((SECONDS > deadline)); then
      echo 'The job did not complete within 30 s:' >&2
      queuectl list >&2
      exit 1
    fi
    sleep 0.1
  done
}

echo '== Pack, and install the tarball in an empty folder'
cd "$root"
npm pack --pack-destination "$folder"
mkdir "$consumer"
cd "$consumer"
echo '{ "private": true, "type": "module" }' >package.json
npm install --no-audit --no-fund "$folder"/queuectl-*.tgz '@types/node@20'

echo '== Run one job with the installed package'
npx --no -- queuectl --version
queuectl enqueue '{"id":"packed","command":"echo packed"}'
queuectl worker-start --count 1
wait_until_completed
queuectl worker-stop
queuectl status

echo '== Import the installed package, and check the types it brings'
cat >consumer.ts <<'EOF'
import { openQueue } from 'queuectl';

const open: (...args: never[]) => unknown = openQueue;
// @ts-expect-error: it has a type, so it is not a string
const wrong: string = openQueue;
if (typeof open !== 'function' || wrong === '') throw new Error('openQueue is not a function');
EOF
cat >tsconfig.json <<'EOF'
{
  "compilerOptions": {
    "target": "es2023",
    "module": "nodenext",
    "types": ["node"],
    "strict": true,
    "skipLibCheck": false
  }
}
EOF
node "$root/node_modules/typescript/bin/tsc"
node consumer.js
echo 'The packed package works.'
