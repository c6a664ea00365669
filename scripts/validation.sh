# What scripts/validate-api and scripts/validate-worker share: named checks, an image's settings, a container that goes
# when the script ends. Sourced, never run.
# shellcheck shell=bash

engine=${ENGINE:-podman}
image=${image:?}
checks=0
name=

# One named check: prints what it was, and where it fails what came out, then ends.
check() { # NAME LOOK-AT COMMAND…
  local what=$1 look=$2 out
  shift 2
  checks=$((checks + 1))
  if out=$("$@" 2>&1); then
    printf 'ok    %s\n' "$what"
  else
    printf 'FAIL  %s\n' "$what" >&2
    printf '%s\n' "$out" | tail -n 20 | sed 's/^/      | /' >&2
    printf '      look at: %s\n' "$look" >&2
    exit 1
  fi
}

of_image() { "$engine" image inspect --format "$1" "$image"; }

# An image for another machine fails with SIGILL or "exec format error" somewhere inside: said here instead.
is_for_this_machine() {
  local is has
  is=$(of_image '{{.Architecture}}')
  case $(uname -m) in
    x86_64) has=amd64 ;;
    aarch64 | arm64) has=arm64 ;;
    *) has=$(uname -m) ;;
  esac
  [ "$is" = "$has" ] && return
  local handler=/proc/sys/fs/binfmt_misc/qemu-${is/arm64/aarch64}
  if [ -e "${handler/amd64/x86_64}" ]; then
    echo "note: this image is for $is and runs here under emulation: slowly, and no proof for real hardware" >&2
    return
  fi
  echo "this image is for $is, and this machine is $has: pull the manifest list, or validate it on an $is machine" >&2
  exit 3
}

is_one_of() { # VALUE WANTED
  [ "$1" = "$2" ] || { echo "it is $1, not $2"; return 1; }
}

# Runs a program in a fresh container of the image; -i is given where something is piped in.
inside() { "$engine" run --rm --network none "$image" "$@"; }
inside_with_input() { "$engine" run --rm --interactive --network none "$image" "$@"; }

# The contract that all three images keep (docs/images.md).
contract() {
  check "runs as uid 999" "USER in the Containerfile" is_one_of "$(of_image '{{.Config.User}}')" 999:999
  check "works in /app" "WORKDIR" is_one_of "$(of_image '{{.Config.WorkingDir}}')" /app
  check "keeps its data in the volume /app/data" "VOLUME" has_volume
  check "may write there" "the owner of /app/data in the image" inside sh -c 'touch /app/data/x'
  check "has a HEALTHCHECK" "the image's format: docker, not oci" has_healthcheck
  check "says where it comes from" "the labels that rpub gives" has_labels
}

has_volume() { of_image '{{json .Config.Volumes}}' | grep -q '"/app/data"'; }
has_healthcheck() { of_image '{{json .Config.Healthcheck}}{{json .Healthcheck}}' 2>/dev/null | grep -q '"Test"' || of_image '{{json .}}' | grep -q '"Test"'; }
has_labels() {
  local key
  for key in title revision version created source licenses; do
    of_image '{{json .Config.Labels}}' | grep -q "org.opencontainers.image.$key" || { echo "no label $key"; return 1; }
  done
}

# Starts a container that goes with this script.
start() { # ARG…
  name=validate-$$
  "$engine" run --detach --name "$name" "$@" >/dev/null
}

remove() {
  [ -z "$name" ] || "$engine" rm --force --time 2 "$name" >/dev/null 2>&1 || true
  name=
}
trap remove EXIT
trap 'exit 130' INT TERM

# Tries until it goes well; half a minute at most.
soon() {
  local left=60
  until "$@" >/dev/null 2>&1; do
    left=$((left - 1))
    [ $left -gt 0 ] || { "$@"; return; }
    sleep 0.5
  done
}

is_healthy() { "$engine" healthcheck run "$name"; }
is_unhealthy() { ! "$engine" healthcheck run "$name" >/dev/null 2>&1; }

# Its own signal ends it in time, and with a good exit code.
stops_well() { # SECONDS CODE…
  local within=$1 code
  shift
  "$engine" stop --time "$within" "$name" >/dev/null
  code=$("$engine" inspect --format '{{.State.ExitCode}}' "$name")
  for good in "$@"; do [ "$code" != "$good" ] || return 0; done
  echo "exit code $code (137: it had to be killed after $within s)"
  "$engine" logs --tail 20 "$name"
  return 1
}
