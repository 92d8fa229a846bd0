{{ staged('group_daily') }}
