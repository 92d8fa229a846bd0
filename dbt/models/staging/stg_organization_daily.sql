{{ staged('organization_daily') }}
