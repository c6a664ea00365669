# What scripts/compat, scripts/dockerd and scripts/walk-guide share: the root folder of another Debian, made once and entered
# in namespaces that take everything with them when they end. Sourced, never run.
# shellcheck shell=bash

# Runs COMMAND where everything that it mounts or starts goes away with it: in its own mount and process namespaces (and in
# those that $contained_also names). When this script dies, even by SIGKILL, unshare gets a SIGKILL, then the first process
# of the namespace, then all of it.
contained_pid="" contained_also=()
contained() {
  contain "$@" <&0
  local code=0
  wait "$contained_pid" 2>/dev/null || code=$?
  contained_pid=
  return "$code"
}

# The same, and does not wait for it.
contain() {
  setpriv --pdeathsig KILL \
    unshare --mount --propagation private --pid --fork --kill-child --mount-proc "${contained_also[@]}" "$@" <&0 &
  contained_pid=$!
}

# The processes of a killed namespace may need a moment; its files cannot be removed before.
remove_tree() {
  local _
  for _ in {1..50}; do
    rm -rf --one-file-system -- "$1" 2>/dev/null && return
    sleep 0.2
  done
  rm -rf --one-file-system -- "$1"
}

leftover="" # the folder that has to go when what is contained ends
clean_up() {
  trap '' INT TERM HUP
  if [ -n "$contained_pid" ]; then
    kill -KILL "$contained_pid" 2>/dev/null || true
    wait "$contained_pid" 2>/dev/null || true
  fi
  if [ -n "$leftover" ]; then remove_tree "$leftover"; fi
}

# A Debian, in which COMMAND… (with the folder as its last argument) then does what needs apt. Call it contained.
make_debian() { # SUITE ROOT MIRROR COMMAND…
  local suite=$1 root=$2 mirror=$3
  shift 3
  debootstrap --variant=minbase "$suite" "$root" "$mirror"
  # What this machine needs to reach the mirror (a proxy, an authority of its own, a clock that is off) the root needs too.
  apt-config dump | grep -E '^Acquire::(http|https|Check|Retries)' >"$root/etc/apt/apt.conf.d/00host" || true
  if compgen -G '/usr/local/share/ca-certificates/*.crt' >/dev/null; then
    mkdir -p "$root/usr/local/share/ca-certificates"
    cp /usr/local/share/ca-certificates/*.crt "$root/usr/local/share/ca-certificates/"
  fi
  printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d" # no service starts
  chmod +x "$root/usr/sbin/policy-rc.d"
  cp -L /etc/resolv.conf "$root/etc/resolv.conf"
  mount -t proc proc "$root/proc"
  export DEBIAN_FRONTEND=noninteractive
  chroot "$root" apt-get update -q
  "$@" "$root"
  umount "$root/proc"
  rm -rf "$root/etc/apt/apt.conf.d/00host" "$root/usr/sbin/policy-rc.d" "$root/etc/resolv.conf"
  printf '127.0.0.1 localhost\n::1 localhost\n' >"$root/etc/hosts"
}

# The new root is an overlay, so that nothing of a run stays in the cached one. Podman's storage and everything large is
# bound in from the disk: an overlay cannot be the upper layer of podman's own.
make_run() { # RUN
  mkdir "$1"/{root,upper,work,home,tmp,vartmp,out}
  chmod 755 "$1/upper" "$1/home"
  chmod 1777 "$1/tmp" "$1/vartmp"
}

mount_run() { # CACHED-ROOT RUN
  local run=$2 root=$2/root name
  local lower=$1
  mount -t overlay -o "lowerdir=$lower,upperdir=$run/upper,workdir=$run/work" overlay "$root"
  mount --bind "$run/home" "$root/home"
  mount --bind "$run/tmp" "$root/tmp"
  mount --bind "$run/vartmp" "$root/var/tmp"
  mount -t tmpfs -o mode=755 tmpfs "$root/run"
  mkdir -m 1777 "$root/run/lock"
  mkdir "$root/run/out"
  mount --bind "$run/out" "$root/run/out"
  mount -t proc proc "$root/proc"
  # Fresh ones, with nothing mounted over parts of them: the kernel lets a container mount its own only then.
  mount -t sysfs sysfs "$root/sys"
  mount -t cgroup2 none "$root/sys/fs/cgroup"
  # A /dev of its own: podman's locks live in /dev/shm under the user's number, and this machine's modes stay as they are.
  mount -t tmpfs -o mode=755,nosuid tmpfs "$root/dev"
  mkdir "$root"/dev/{pts,shm,net}
  mount -t devpts -o newinstance,ptmxmode=666,mode=620,gid=5 devpts "$root/dev/pts"
  mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
  while read -r name major minor; do
    mknod -m 666 "$root/dev/$name" c "$major" "$minor"
  done <<<"null 1 3
zero 1 5
full 1 7
random 1 8
urandom 1 9
tty 5 0
fuse 10 229
net/tun 10 200"
  ln -s pts/ptmx "$root/dev/ptmx"
  ln -s /proc/self/fd "$root/dev/fd"
  for name in 0/stdin 1/stdout 2/stderr; do ln -s "/proc/self/fd/${name%/*}" "$root/dev/${name#*/}"; done
  cp -L /etc/resolv.conf "$root/etc/resolv.conf"
}
