# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every table, sequence and function of the platform's schemas auth, storage and realtime: owners, and who else may do what.

Read from a PostgreSQL that ran the published migrations of Supabase's postgres, auth, storage and realtime. Letters as in
access lists, ``*`` where it may be given on. MAINTAIN, which PostgreSQL 17 brought, goes with a table's other rights.
"""

from __future__ import annotations

# Owner, the others' rights, and what has exactly these.
PLATFORM_PRIVILEGES: list[tuple[str, str, str]] = [
    (
        "supabase_auth_admin",
        "dashboard_user=X public=X",
        """
        function auth.email()
        function auth.role()
        function auth.uid()
        """,
    ),
    (
        "supabase_auth_admin",
        "dashboard_user=X postgres=X public=X",
        """
        function auth.jwt()
        """,
    ),
    (
        "supabase_realtime_admin",
        "anon=X authenticated=X dashboard_user=X postgres=X public=X service_role=X",
        """
        function realtime."cast"(text,regtype)
        function realtime.apply_rls(jsonb,integer)
        function realtime.build_prepared_statement_sql(text,regclass,realtime.wal_column[])
        function realtime.check_equality_op(realtime.equality_op,regtype,text,text)
        function realtime.check_equality_op(realtime.equality_op,regtype,text,text,boolean)
        function realtime.is_visible_through_filters(realtime.wal_column[],realtime.user_defined_filter[])
        function realtime.quote_wal2json(regclass)
        function realtime.subscription_check_filters()
        function realtime.to_regrole(text)
        """,
    ),
    (
        "supabase_realtime_admin",
        "dashboard_user=X postgres=X public=X",
        """
        function realtime.broadcast_changes(text,text,text,text,text,record,record,text)
        function realtime.list_changes(name,name,integer,integer)
        function realtime.send(jsonb,text,text,boolean)
        function realtime.send_binary(bytea,text,text,boolean)
        function realtime.topic()
        function realtime.wal2json_escape_identifier(text)
        """,
    ),
    (
        "supabase_storage_admin",
        "public=X",
        """
        function storage.allow_any_operation(text[])
        function storage.allow_only_operation(text)
        function storage.can_insert_object(text,text,uuid,jsonb)
        function storage.enforce_bucket_name_length()
        function storage.get_common_prefix(text,text,text)
        function storage.get_size_by_bucket()
        function storage.list_multipart_uploads_with_delimiter(text,text,text,integer,text,text)
        function storage.list_objects_with_delimiter(text,text,text,integer,text,text,text)
        function storage.operation()
        function storage.protect_delete()
        function storage.search(text,text,integer,integer,integer,text,text,text)
        function storage.search_by_timestamp(text,text,integer,integer,text,text,text,text)
        function storage.search_v2(text,text,integer,integer,text,text,text,text)
        function storage.update_updated_at_column()
        """,
    ),
    (
        "supabase_storage_admin",
        "anon=X authenticated=X dashboard_user=X postgres=X public=X service_role=X",
        """
        function storage.extension(text)
        function storage.filename(text)
        function storage.foldername(text)
        """,
    ),
    (
        "supabase_auth_admin",
        "dashboard_user=rwU postgres=rwU",
        """
        sequence auth.refresh_tokens_id_seq
        """,
    ),
    (
        "supabase_realtime_admin",
        "anon=U authenticated=U dashboard_user=rwU postgres=rwU service_role=U",
        """
        sequence realtime.subscription_id_seq
        """,
    ),
    (
        "supabase_auth_admin",
        "dashboard_user=arwdDxt postgres=ar*wdDxt",
        """
        table auth.audit_log_entries
        table auth.flow_state
        table auth.identities
        table auth.instances
        table auth.mfa_amr_claims
        table auth.mfa_challenges
        table auth.mfa_factors
        table auth.one_time_tokens
        table auth.refresh_tokens
        table auth.saml_providers
        table auth.saml_relay_states
        table auth.schema_migrations
        table auth.sessions
        table auth.sso_domains
        table auth.sso_providers
        table auth.users
        """,
    ),
    (
        "supabase_auth_admin",
        "dashboard_user=arwdDxt postgres=arwdDxt",
        """
        table auth.custom_oauth_providers
        table auth.oauth_authorizations
        table auth.oauth_client_states
        table auth.oauth_clients
        table auth.oauth_consents
        table auth.webauthn_challenges
        table auth.webauthn_credentials
        """,
    ),
    (
        "supabase_realtime_admin",
        "anon=arw authenticated=arw dashboard_user=arwdDxt postgres=arwdDxt service_role=arw",
        """
        table realtime.messages
        """,
    ),
    (
        "supabase_admin",
        "",
        """
        table realtime.schema_migrations
        """,
    ),
    (
        "supabase_realtime_admin",
        "anon=r authenticated=r dashboard_user=arwdDxt postgres=arwdDxt service_role=r",
        """
        table realtime.subscription
        """,
    ),
    (
        "supabase_storage_admin",
        "anon=arwdDxt authenticated=arwdDxt postgres=a*r*w*d*D*x*t* service_role=arwdDxt",
        """
        table storage.buckets
        table storage.objects
        """,
    ),
    (
        "supabase_storage_admin",
        "anon=arwdDxt authenticated=arwdDxt service_role=arwdDxt",
        """
        table storage.buckets_analytics
        """,
    ),
    (
        "supabase_storage_admin",
        "anon=r authenticated=r service_role=r",
        """
        table storage.buckets_vectors
        table storage.vector_indexes
        """,
    ),
    (
        "supabase_storage_admin",
        "anon=arwdDxt authenticated=arwdDxt postgres=arwdDxt service_role=arwdDxt",
        """
        table storage.migrations
        """,
    ),
    (
        "supabase_storage_admin",
        "anon=r authenticated=r service_role=arwdDxt",
        """
        table storage.s3_multipart_uploads
        table storage.s3_multipart_uploads_parts
        """,
    ),
]
