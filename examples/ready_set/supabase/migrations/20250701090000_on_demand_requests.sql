-- Deliveries that are not catering, and the dispatch of a driver to either kind.

create type public.vehicle_type as enum ('CAR', 'VAN', 'TRUCK');
create type public.dispatch_status as enum ('ASSIGNED', 'ARRIVED_AT_VENDOR', 'EN_ROUTE', 'COMPLETED', 'ABANDONED');

create table public.on_demand_requests (
    id uuid primary key default gen_random_uuid(),
    "orderNumber" text not null unique,
    "userId" uuid not null references public.profiles (id) on delete restrict,
    "pickupAddressId" uuid not null references public.addresses (id) on delete restrict,
    "deliveryAddressId" uuid not null references public.addresses (id) on delete restrict,
    status public.request_status not null default 'PENDING',
    "vehicleType" public.vehicle_type not null default 'CAR',
    "itemDescription" text not null,
    "weightKg" numeric(8, 3),
    "orderTotal" numeric(12, 2) not null default 0,
    "pickupAt" timestamptz,
    "createdAt" timestamptz not null default now(),
    "updatedAt" timestamptz not null default now(),
    "deletedAt" timestamptz,
    constraint on_demand_requests_total_not_negative check ("orderTotal" >= 0),
    constraint on_demand_requests_weight_positive check ("weightKg" > 0)
);

create table public.dispatches (
    id uuid primary key default gen_random_uuid(),
    "cateringRequestId" uuid references public.catering_requests (id) on delete cascade,
    "onDemandRequestId" uuid references public.on_demand_requests (id) on delete cascade,
    "driverId" uuid not null references public.profiles (id) on delete restrict,
    status public.dispatch_status not null default 'ASSIGNED',
    "createdAt" timestamptz not null default now(),
    "updatedAt" timestamptz not null default now(),
    constraint dispatches_one_request check (num_nonnulls("cateringRequestId", "onDemandRequestId") = 1)
);

create index "idx_on_demand_requests_userId" on public.on_demand_requests ("userId");
create index "idx_on_demand_requests_pickupAddressId" on public.on_demand_requests ("pickupAddressId");
create index "idx_on_demand_requests_deliveryAddressId" on public.on_demand_requests ("deliveryAddressId");
create index "idx_dispatches_cateringRequestId" on public.dispatches ("cateringRequestId");
create index "idx_dispatches_onDemandRequestId" on public.dispatches ("onDemandRequestId");
create index "idx_dispatches_driverId" on public.dispatches ("driverId", status);

create trigger set_on_demand_requests_updated_at before update on public.on_demand_requests
    for each row execute function public.set_updated_at();
create trigger set_dispatches_updated_at before update on public.dispatches
    for each row execute function public.set_updated_at();

-- What is on the road: one row per dispatch that has not ended.
create view public.open_deliveries with (security_invoker = true) as
select
    d.id as "dispatchId",
    coalesce(c."orderNumber", o."orderNumber") as "orderNumber",
    case when c.id is not null then 'catering' else 'on_demand' end as kind,
    d.status,
    d."driverId",
    coalesce(c."pickupAt", o."pickupAt") as "pickupAt"
from public.dispatches d
left join public.catering_requests c on c.id = d."cateringRequestId"
left join public.on_demand_requests o on o.id = d."onDemandRequestId"
where d.status not in ('COMPLETED', 'ABANDONED');

comment on view public.open_deliveries is 'Dispatches under way; each caller sees what the policies allow.';
