{{ staged('account_external_ids') }}
