#!/bin/sh
# The clients that tests/clients drives, in the versions that the project was tried with. Only the platform packages of
# npm: nothing is run while they are installed. Kept in a cache folder, 540 MB; SOC_CLIENTS_CACHE names another.
# Always succeeds: what cannot be had is said, and its tests are skipped with that reason.
set -u
cache=${SOC_CLIENTS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/soc-deploy/clients}
opencode=1.18.33
claude=2.1.330

case "$(uname -s)-$(uname -m)" in
    Linux-x86_64) platform=linux-x64 ;;
    Linux-aarch64) platform=linux-arm64 ;;
    Darwin-arm64) platform=darwin-arm64 ;;
    Darwin-x86_64) platform=darwin-x64 ;;
    *) platform= ;;
esac

# fetch NAME PACKAGE VERSION PROGRAM: $cache/NAME becomes a link to PROGRAM of the package, $cache/NAME.why the reason why not
fetch() {
    rm -f "$cache/$1.why"
    folder=$cache/$1-$3
    program=$folder/node_modules/$2/$4
    if [ ! -x "$program" ]; then
        rm -f "$cache/$1"
        if [ -z "$platform" ]; then
            echo "no package of $1 for this machine" > "$cache/$1.why"
        elif ! command -v npm > /dev/null; then
            echo "npm is not installed" > "$cache/$1.why"
        elif ! npm install --prefix "$folder" --no-audit --no-fund --ignore-scripts --loglevel error "$2@$3" \
            > "$cache/$1.log" 2>&1 || [ ! -x "$program" ]; then
            echo "npm could not install $2@$3: $(tail -n 1 "$cache/$1.log")" > "$cache/$1.why"
        fi
    fi
    if [ -e "$cache/$1.why" ]; then
        echo "$1: $(cat "$cache/$1.why")"
    else
        ln -sfn "$program" "$cache/$1"
        echo "$1 $3: $program"
    fi
}

mkdir -p "$cache" || exit 0
fetch opencode "opencode-$platform" "$opencode" bin/opencode
fetch claude "@anthropic-ai/claude-code-$platform" "$claude" claude
