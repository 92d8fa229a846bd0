{{ staged('group_objective_daily') }}
