#!/bin/sh
# Runs once, when the database is made: the login of the services, which owns nothing and bypasses nothing.
# `wearwell migrate` finds the two roles and gives them their rights.
set -eu
psql -v ON_ERROR_STOP=1 -v password="$SERVICE_PASSWORD" --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
create role wearwell_app nologin;
create role wearwell_gateway nologin;
create role wearwell_service login noinherit password :'password';
grant wearwell_app, wearwell_gateway to wearwell_service;
SQL
