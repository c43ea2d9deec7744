#!/bin/sh
# The inside of a container before its entrypoint: runs as process 1 of namespaces of its own.
# container.sh FOLDER HOST ISOLATED [SHARED...] -- [READONLY...] -- COMMAND...
# FOLDER/opt becomes /opt (with the host's other folders in it), so /opt/ml is the job's own and the host has none.
# Standard input is a pipe on which "ok" says that all this went well.
set -eu
folder=$1 host=$2 isolated=$3
shift 3
while [ "$1" != "--" ]; do
    mkdir -p "$folder$1"
    mount --bind "$1" "$folder$1"
    shift
done
shift
while [ "$1" != "--" ]; do
    mount --bind "$folder$1" "$folder$1"
    mount -o remount,ro,bind "$folder$1"
    shift
done
shift
echo "$host" >/proc/sys/kernel/hostname
mount --bind "$folder/hosts" /etc/hosts
for entry in /opt/*; do
    if [ -d "$entry" ] && [ ! -e "$folder$entry" ]; then
        mkdir "$folder$entry"
        mount --rbind "$entry" "$folder$entry"
    fi
done
mount --rbind "$folder/opt" /opt
if [ "$isolated" = yes ]; then
    ip link set lo up
fi
cd /
if [ -d "$folder/tmp" ]; then
    mount --rbind "$folder/tmp" /tmp
fi
echo ok >&0
exec "$@" </dev/null 2>&1
