#!/bin/sh
# Install the browser that the report is tested in, where that can be done without a question.
# Where it cannot, its tests are skipped by name (and fail in CI).
command -v chromedriver >/dev/null && exit 0
command -v apt-get >/dev/null || exit 0
if [ "$(id -u)" = 0 ]; then
  as_root=
elif sudo -n true 2>/dev/null; then
  as_root='sudo -n'
else
  echo 'note: no chromedriver: the report is not tested in a browser' \
    '(apt install chromium chromium-driver)' >&2
  exit 0
fi
export DEBIAN_FRONTEND=noninteractive
install="$as_root apt-get install -qq -y --no-install-recommends chromium chromium-driver fonts-dejavu-core"
{ $as_root apt-get update -qq && $install; } >/dev/null || echo 'note: no browser could be installed' >&2
