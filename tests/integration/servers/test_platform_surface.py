# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The local project beside a list of what the platform has, written from its published migrations: postgres, auth, storage, realtime."""

from __future__ import annotations

import pytest

from tests.integration.live import LiveProject
from tests.integration.platform_privileges import PLATFORM_PRIVILEGES

# By schema: the owner of its tables, and the tables.
TABLES = {
    "auth": (
        "supabase_auth_admin",
        "audit_log_entries custom_oauth_providers flow_state identities instances mfa_amr_claims mfa_challenges mfa_factors "
        "oauth_authorizations oauth_client_states oauth_clients oauth_consents one_time_tokens refresh_tokens saml_providers "
        "saml_relay_states schema_migrations sessions sso_domains sso_providers users webauthn_challenges webauthn_credentials",
    ),
    "storage": (
        "supabase_storage_admin",
        "buckets buckets_analytics buckets_vectors migrations objects s3_multipart_uploads s3_multipart_uploads_parts vector_indexes",
    ),
}
EVENT_TRIGGERS = {
    "issue_graphql_placeholder": "sql_drop|set_graphql_placeholder",
    "issue_pg_cron_access": "ddl_command_end|grant_pg_cron_access",
    "issue_pg_graphql_access": "ddl_command_end|grant_pg_graphql_access",
    "issue_pg_net_access": "ddl_command_end|grant_pg_net_access",
    "pgrst_ddl_watch": "ddl_command_end|pgrst_ddl_watch",
    "pgrst_drop_watch": "sql_drop|pgrst_drop_watch",
}
# Role: may bypass row security, may make roles, may replicate.
ROLES = {
    "anon": "f|f|f",
    "authenticated": "f|f|f",
    "authenticator": "f|f|f",
    "dashboard_user": "f|t|t",
    "postgres": "t|t|t",
    "service_role": "t|f|f",
    "supabase_auth_admin": "f|t|f",
    "supabase_functions_admin": "f|t|f",
    "supabase_read_only_user": "t|f|f",
    "supabase_realtime_admin": "f|f|f",
    "supabase_replication_admin": "f|f|t",
    "supabase_storage_admin": "f|t|f",
}
COLUMNS = {
    "auth.custom_oauth_providers": "custom_claims_allowlist",
    "auth.flow_state": "email_optional linking_target_id",
    "auth.sessions": "aal factor_id ip not_after oauth_client_id refresh_token_counter refresh_token_hmac_key scopes tag user_agent",
    "storage.buckets": "avif_autodetection file_size_limit owner_id public type versioning_status",
    "storage.objects": "archived_at is_delete_marker is_versioned owner_id path_tokens user_metadata version",
    "realtime.messages": "event extension inserted_at payload private topic",
    "realtime.subscription": "claims claims_role entity filters subscription_id",
}
# Owner of what is made, schema: roles that are given everything on a new table, function or sequence there; * may give it on.
API = "anon authenticated postgres service_role"
DEFAULTS = {
    ("postgres", "public"): API,
    ("postgres", "storage"): API,
    ("supabase_admin", "extensions"): "postgres*",
    ("supabase_admin", "graphql"): API,
    ("supabase_admin", "graphql_public"): API,
    ("supabase_admin", "public"): API,
    ("supabase_admin", "realtime"): "dashboard_user postgres",
    ("supabase_admin", "supabase_functions"): API,
    ("supabase_auth_admin", "auth"): "dashboard_user postgres",
}
# Role: its members; * may make others members.
MEMBERS = {
    "anon": "authenticator postgres*",
    "authenticated": "authenticator postgres*",
    "authenticator": "postgres* supabase_storage_admin",
    "pg_create_subscription": "postgres",
    "pg_monitor": "postgres*",
    "pg_read_all_data": "postgres* supabase_read_only_user",
    "pg_signal_backend": "postgres*",
    "service_role": "authenticator postgres*",
    "supabase_realtime_admin": "postgres",
    # For what an extension of the platform's server allows there.
    "supabase_auth_admin": "postgres",
    "supabase_storage_admin": "postgres",
}
# Schema: what roles may there. U: use it, C: make objects in it. Its owner's rights are left out.
SCHEMAS = {
    "auth": "anon=U authenticated=U dashboard_user=CU postgres=U service_role=U supabase_auth_admin=U",
    "extensions": "anon=U authenticated=U dashboard_user=CU postgres=CU service_role=U",
    "graphql": "anon=U authenticated=U postgres=U* service_role=U",
    "graphql_public": "anon=U authenticated=U postgres=U* service_role=U",
    "realtime": "anon=U authenticated=U postgres=U service_role=U supabase_realtime_admin=CU",
    "storage": "anon=U authenticated=U dashboard_user=CU postgres=U service_role=U supabase_storage_admin=U",
    "vault": "postgres=U* service_role=U",
}
SETTINGS = {
    "anon": "statement_timeout=3s",
    "authenticated": "statement_timeout=8s",
    "authenticator": "lock_timeout=8s statement_timeout=8s",
    "postgres": 'search_path="$user", public, extensions',
    "supabase_admin": 'search_path="$user", public, auth, extensions',
    "supabase_auth_admin": "idle_in_transaction_session_timeout=60000 search_path=auth",
    "supabase_storage_admin": "search_path=storage",
}
# What a migration may name in ON CONFLICT, DROP INDEX or COMMENT: constraints and indexes of the tables that it reads.
NAMED = {
    "auth.identities": (
        "identities_email_idx identities_pkey identities_provider_id_provider_unique identities_user_id_fkey "
        "identities_user_id_idx"
    ),
    "auth.refresh_tokens": (
        "refresh_tokens_instance_id_idx refresh_tokens_instance_id_user_id_idx refresh_tokens_parent_idx "
        "refresh_tokens_pkey refresh_tokens_session_id_fkey refresh_tokens_session_id_revoked_idx "
        "refresh_tokens_token_unique refresh_tokens_updated_at_idx"
    ),
    "auth.sessions": (
        "sessions_not_after_idx sessions_oauth_client_id_fkey sessions_oauth_client_id_idx sessions_pkey "
        "sessions_scopes_length sessions_user_id_fkey sessions_user_id_idx user_id_created_at_idx"
    ),
    "auth.users": (
        "confirmation_token_idx email_change_token_current_idx email_change_token_new_idx reauthentication_token_idx "
        "recovery_token_idx users_email_change_confirm_status_check users_email_partial_key users_instance_id_email_idx "
        "users_instance_id_idx users_is_anonymous_idx users_phone_key users_pkey"
    ),
    "realtime.messages": "messages_payload_exclusive messages_pkey",
    "realtime.subscription": (
        "ix_realtime_subscription_entity pk_subscription subscription_action_filter_check "
        "subscription_subscription_id_entity_filters_action_filter_selec"
    ),
    "storage.buckets": (
        "bname buckets_pkey buckets_versioning_dark_check buckets_versioning_standard_only_check "
        "buckets_versioning_status_check"
    ),
    "storage.migrations": "migrations_name_key migrations_pkey",
    "storage.objects": (
        "bucketid_objname idx_objects_bucket_id_name idx_objects_bucket_id_name_lower name_prefix_search "
        "objects_bucketId_fkey objects_pkey"
    ),
    "storage.s3_multipart_uploads": "idx_multipart_uploads_list s3_multipart_uploads_bucket_id_fkey s3_multipart_uploads_pkey",
}


def lines(project: LiveProject, query: str) -> dict[str, str]:
    """The rows psql finds, by their first column."""
    return dict(line.split("|", 1) for line in project.psql(query).splitlines())


@pytest.mark.parametrize("schema", TABLES)
def test_tables_and_their_owners(project: LiveProject, schema: str) -> None:
    there = lines(
        project,
        "select relowner::regrole, string_agg(relname, ' ' order by relname collate \"C\") from pg_class "
        f"where relnamespace = '{schema}'::regnamespace and relkind in ('r', 'p') group by 1",
    )
    owner, names = TABLES[schema]
    assert there == {owner: names}
    unguarded = f"select count(*) from pg_class where relnamespace = '{schema}'::regnamespace and relkind = 'r' and not relrowsecurity"
    assert project.psql(unguarded) == "0"


def test_event_triggers_are_the_superusers(project: LiveProject) -> None:
    query = "select evtname, evtevent || '|' || proname from pg_event_trigger join pg_proc p on p.oid = evtfoid"
    assert lines(project, query) == EVENT_TRIGGERS
    assert project.psql("select distinct evtowner::regrole from pg_event_trigger") == "supabase_admin"


def test_roles_and_memberships(project: LiveProject) -> None:
    there = lines(project, "select rolname, rolbypassrls, rolcreaterole, rolreplication from pg_roles")
    assert {name: there.get(name) for name in ROLES} == ROLES
    for role in ("anon", "authenticated", "service_role"):
        assert project.psql(f"select pg_has_role('postgres', '{role}', 'member with admin option')") == "t"
        assert project.psql(f"select pg_has_role('authenticator', '{role}', 'member')") == "t"


@pytest.mark.parametrize("table", COLUMNS)
def test_columns(project: LiveProject, table: str) -> None:
    there = project.psql(
        f"select attname from pg_attribute where attrelid = '{table}'::regclass and attnum > 0"
    ).split()
    assert set(COLUMNS[table].split()) <= set(there)


@pytest.mark.parametrize("kind", ["r", "f", "S"])
def test_default_privileges(project: LiveProject, kind: str) -> None:
    found = project.psql(
        "select r, n, string_agg(g, ' ' order by g) from (select distinct d.defaclrole::regrole::text as r, "
        "d.defaclnamespace::regnamespace::text as n, a.grantee::regrole || case when a.is_grantable then '*' else '' end as g "
        "from pg_default_acl d cross join aclexplode(d.defaclacl) a "
        f"where d.defaclobjtype = '{kind}' and d.defaclnamespace <> 0) x group by 1, 2"
    )
    rows = [line.split("|") for line in found.splitlines()]
    assert {(role, schema): given for role, schema, given in rows} == DEFAULTS


def test_all_memberships(project: LiveProject) -> None:
    there = lines(
        project,
        "select r, string_agg(m, ' ' order by m) from (select roleid::regrole::text as r, member::regrole "
        "|| case when bool_or(admin_option) then '*' else '' end as m from pg_auth_members "
        "where member::regrole::text <> 'pg_monitor' group by roleid, member) x group by 1",
    )
    assert there == MEMBERS


def test_rights_on_schemas(project: LiveProject) -> None:
    there = lines(
        project,
        "select n, string_agg(g, ' ' order by g) from (select nspname as n, a.grantee::regrole || '=' || "
        "string_agg(left(privilege_type, 1) || case when is_grantable then '*' else '' end, '' order by privilege_type) as g "
        "from pg_namespace cross join aclexplode(nspacl) a where a.grantee <> nspowner group by nspname, a.grantee) x group by n",
    )
    assert {schema: there.get(schema) for schema in SCHEMAS} == SCHEMAS


def test_settings_are_the_roles_and_not_the_databases(project: LiveProject) -> None:
    there = lines(
        project,
        "select setrole::regrole, string_agg(s, ' ' order by s) from pg_db_role_setting, unnest(setconfig) s "
        "where setrole <> 0 group by 1",
    )
    assert {role: there.get(role) for role in SETTINGS} == SETTINGS
    assert project.psql("select count(*) from pg_db_role_setting where setrole = 0") == "0"


def test_the_api_only_reads_what_is_only_read(project: LiveProject) -> None:
    for table in ("buckets_vectors", "vector_indexes", "s3_multipart_uploads", "s3_multipart_uploads_parts"):
        may = f"has_table_privilege('anon', 'storage.{table}', "
        assert project.psql(f"select {may}'select'), {may}'insert')") == "t|f"


def test_extensions_are_made_and_dropped_with_the_event_triggers_there(project: LiveProject) -> None:
    project.psql("create extension pg_net with schema extensions; create extension pg_cron; drop extension pg_graphql")
    project.psql("create extension pg_graphql; drop extension pg_cron; drop extension pg_net")
    assert project.psql("select has_schema_privilege('anon', 'graphql', 'usage')") == "t"


def test_owners_and_privileges_of_every_object(project: LiveProject) -> None:
    found = project.psql("""
        set search_path = pg_catalog;
        with made as (
            select case relkind when 'S' then 'sequence' else 'table' end as kind, oid::regclass::text as name, relowner as owner,
                coalesce(relacl, acldefault((case relkind when 'S' then 's' else 'r' end)::"char", relowner)) as acl
            from pg_class where relkind in ('r', 'p', 'v', 'S') and not relispartition
                and relnamespace in ('auth'::regnamespace, 'storage'::regnamespace, 'realtime'::regnamespace)
            union all
            select 'function', oid::regprocedure::text, proowner, coalesce(proacl, acldefault('f', proowner)) from pg_proc
            where pronamespace in ('auth'::regnamespace, 'storage'::regnamespace, 'realtime'::regnamespace)
        ), given as (
            select kind, name, owner::regrole::text as owner, split_part(item, '=', 1) as to_whom,
                regexp_replace(split_part(split_part(item, '=', 2), '/', 1), 'm\\*?', '') as what
            from made, unnest(acl::text[]) as item
        )
        select kind || ' ' || name, owner, string_agg(
            coalesce(nullif(to_whom, ''), 'public') || '=' || what, ' ' order by to_whom collate "C") filter (where to_whom <> owner)
        from given group by kind, name, owner
        """)
    there = {what: (owner, given) for what, owner, given in (line.split("|") for line in found.splitlines())}
    listed = {
        what.strip(): (owner, " ".join(sorted(given.split(), key=order_of_grantees)))
        for owner, given, objects in PLATFORM_PRIVILEGES
        for what in objects.strip().splitlines()
    }
    assert there == listed


def order_of_grantees(item: str) -> str:
    """Everybody comes first, as in access lists."""
    return item.removeprefix("public")


@pytest.mark.parametrize("table", NAMED)
def test_names_of_constraints_and_indexes(project: LiveProject, table: str) -> None:
    there = project.psql(
        "select conname from pg_constraint "
        f"where conrelid = '{table}'::regclass and contype in ('p', 'u', 'f', 'c') union "
        f"select relname from pg_index join pg_class c on c.oid = indexrelid where indrelid = '{table}'::regclass"
    )
    assert sorted(there.split()) == NAMED[table].split()
