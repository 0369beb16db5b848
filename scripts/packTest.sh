#!/usr/bin/env bash
# Packs the package, installs the tarball in an empty folder, and uses it there: one job from end to end, the help, the
# library and its types. Fails when a package was installed that nothing of this has loaded. Needs jq, and what `npm ci`
# installs.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
folder=$(cd "$(mktemp -d)" && pwd -P)
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

# Each Node.js process writes there which files it has loaded.
export NODE_V8_COVERAGE=$folder/loaded

echo '== Run one job with the installed package'
npx --no -- queuectl --version
queuectl enqueue '{"id":"packed","command":"echo packed"}'
queuectl worker-start --count 1
wait_until_completed
queuectl worker-stop
queuectl status
queuectl --help >/dev/null

echo '== Import the installed package, and check the types it brings'
cat >consumer.ts <<'EOF'
import { openQueue } from 'queuectl';

const queue = openQueue({ store: 'file:library' });
const job = await queue.enqueue({ id: 'typed', command: 'true' });
const id: string = job.id;
// @ts-expect-error: it is a string, so it is no number
const wrong: number = job.id;
if (id !== 'typed' || wrong === 0) throw new Error(`the job is ${id}`);
await queue.close();
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
unset NODE_V8_COVERAGE

echo '== Each installed package is loaded by something'
loaded=0
idle=0
for package in $(npm ls --all --parseable | tail -n +2 | sort -u); do
  case $package in */@types/* | */undici-types) continue ;; esac # the consumer's own
  if grep -qrF "file://$package/" "$folder/loaded"; then
    loaded=$((loaded + 1))
  else
    echo "Nothing loads ${package#"$consumer/node_modules/"}." >&2
    idle=$((idle + 1))
  fi
done
echo "$loaded are, $idle are not"
((loaded > 0 && idle == 0))
echo 'The packed package works.'
