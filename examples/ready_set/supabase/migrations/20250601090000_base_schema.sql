-- Ready Set, a catering logistics application: who orders, where it goes, what is delivered.
--
-- Column names are camelCase and quoted, because the application's ORM writes them so.
-- Every profile belongs to one account in auth.users; the platform owns that table, we only hang a trigger on it.

create type public.profile_type as enum ('CLIENT', 'VENDOR', 'DRIVER', 'HELPDESK', 'ADMIN', 'SUPER_ADMIN');
create type public.profile_status as enum ('PENDING', 'ACTIVE', 'SUSPENDED', 'DELETED');
create type public.request_status as enum ('PENDING', 'CONFIRMED', 'IN_PROGRESS', 'DELIVERED', 'CANCELLED');
create type public.application_status as enum ('RECEIVED', 'REVIEWING', 'APPROVED', 'REJECTED');

create table public.profiles (
    id uuid primary key references auth.users (id) on delete cascade,
    type public.profile_type not null default 'CLIENT',
    status public.profile_status not null default 'PENDING',
    email text not null unique,
    "contactName" text,
    "contactNumber" text,
    "companyName" text,
    "parkingLoading" text,
    "isTemporaryPassword" boolean not null default false,
    "createdAt" timestamptz not null default now(),
    "updatedAt" timestamptz not null default now(),
    "deletedAt" timestamptz,
    constraint profiles_email_shape check (email ~ '^[^@\s]+@[^@\s]+$'),
    constraint profiles_deleted_has_date check (status <> 'DELETED' or "deletedAt" is not null)
);

comment on table public.profiles is 'One person or company that uses Ready Set; soft-deleted by "deletedAt".';

create table public.addresses (
    id uuid primary key default gen_random_uuid(),
    "createdBy" uuid references public.profiles (id) on delete set null,
    label text,
    street1 text not null,
    street2 text,
    city text not null,
    county text,
    state char(2) not null,
    zip text not null,
    latitude numeric(9, 6),
    longitude numeric(9, 6),
    "isRestaurant" boolean not null default false,
    "isShared" boolean not null default false,
    "createdAt" timestamptz not null default now(),
    "updatedAt" timestamptz not null default now(),
    constraint addresses_state_is_upper check (state = upper(state)),
    constraint addresses_zip_shape check (zip ~ '^\d{5}(-\d{4})?$'),
    constraint addresses_on_earth check (latitude between -90 and 90 and longitude between -180 and 180)
);

create table public.catering_requests (
    id uuid primary key default gen_random_uuid(),
    "orderNumber" text not null unique,
    "userId" uuid not null references public.profiles (id) on delete restrict,
    "pickupAddressId" uuid not null references public.addresses (id) on delete restrict,
    "deliveryAddressId" uuid not null references public.addresses (id) on delete restrict,
    status public.request_status not null default 'PENDING',
    headcount integer not null,
    "needHost" boolean not null default false,
    "hoursNeeded" numeric(4, 1),
    "pickupAt" timestamptz,
    "arrivalAt" timestamptz,
    "orderTotal" numeric(12, 2) not null default 0,
    "tipAmount" numeric(12, 2) not null default 0,
    "specialNotes" text,
    "createdAt" timestamptz not null default now(),
    "updatedAt" timestamptz not null default now(),
    "deletedAt" timestamptz,
    constraint catering_requests_headcount_positive check (headcount > 0),
    constraint catering_requests_amounts_not_negative check ("orderTotal" >= 0 and "tipAmount" >= 0),
    constraint catering_requests_host_has_hours check (not "needHost" or "hoursNeeded" > 0),
    constraint catering_requests_arrives_after_pickup check ("arrivalAt" >= "pickupAt")
);

create table public.job_applications (
    id uuid primary key default gen_random_uuid(),
    "profileId" uuid references public.profiles (id) on delete set null,
    "firstName" text not null,
    "lastName" text not null,
    email text not null,
    phone text,
    "position" text not null,
    education text,
    skills text[] not null default '{}',
    answers jsonb not null default '{}'::jsonb,
    status public.application_status not null default 'RECEIVED',
    "createdAt" timestamptz not null default now(),
    "updatedAt" timestamptz not null default now(),
    constraint job_applications_answers_is_object check (jsonb_typeof(answers) = 'object')
);

create table public.file_uploads (
    id uuid primary key default gen_random_uuid(),
    "userId" uuid references public.profiles (id) on delete set null,
    "cateringRequestId" uuid references public.catering_requests (id) on delete cascade,
    "jobApplicationId" uuid references public.job_applications (id) on delete cascade,
    "fileName" text not null,
    "fileType" text not null,
    "fileSize" bigint not null,
    "storagePath" text not null unique,
    category text,
    "uploadedAt" timestamptz not null default now(),
    constraint file_uploads_size_positive check ("fileSize" > 0)
);

create index idx_profiles_type_status on public.profiles (type, status);
create index idx_profiles_active on public.profiles ("createdAt") where "deletedAt" is null;
create index "idx_addresses_createdBy" on public.addresses ("createdBy");
create index idx_addresses_place on public.addresses (state, city);
create index "idx_catering_requests_userId" on public.catering_requests ("userId");
create index "idx_catering_requests_pickupAddressId" on public.catering_requests ("pickupAddressId");
create index "idx_catering_requests_deliveryAddressId" on public.catering_requests ("deliveryAddressId");
create index idx_catering_requests_open on public.catering_requests ("pickupAt")
    where status in ('PENDING', 'CONFIRMED', 'IN_PROGRESS');
create index "idx_job_applications_profileId" on public.job_applications ("profileId");
create index idx_job_applications_skills on public.job_applications using gin (skills);
create index "idx_file_uploads_userId" on public.file_uploads ("userId");
create index "idx_file_uploads_cateringRequestId" on public.file_uploads ("cateringRequestId");
create index "idx_file_uploads_jobApplicationId" on public.file_uploads ("jobApplicationId");

create function public.set_updated_at()
returns trigger
language plpgsql
set search_path = ''
as $$
begin
    -- A writer that sets "updatedAt" by itself (an import, a merge) keeps its value; everybody else gets the clock.
    if new."updatedAt" is not distinct from old."updatedAt" then
        new."updatedAt" := now();
    end if;
    return new;
end;
$$;

create trigger set_profiles_updated_at before update on public.profiles
    for each row execute function public.set_updated_at();
create trigger set_addresses_updated_at before update on public.addresses
    for each row execute function public.set_updated_at();
create trigger set_catering_requests_updated_at before update on public.catering_requests
    for each row execute function public.set_updated_at();
create trigger set_job_applications_updated_at before update on public.job_applications
    for each row execute function public.set_updated_at();

create function public.handle_new_user()
returns trigger
language plpgsql
security definer
set search_path = ''
as $$
declare
    wanted text := upper(coalesce(new.raw_user_meta_data ->> 'type', 'CLIENT'));
begin
    insert into public.profiles (id, email, type, "contactName", "contactNumber", "companyName")
    values (
        new.id,
        new.email,
        -- Sign-up data comes from the browser: staff types are granted by staff, never asked for.
        case when wanted in ('CLIENT', 'VENDOR', 'DRIVER') then wanted else 'CLIENT' end::public.profile_type,
        new.raw_user_meta_data ->> 'contactName',
        new.raw_user_meta_data ->> 'contactNumber',
        new.raw_user_meta_data ->> 'companyName'
    );
    return new;
end;
$$;

revoke all on function public.handle_new_user() from public, anon, authenticated;

create trigger on_auth_user_created after insert on auth.users
    for each row execute function public.handle_new_user();
