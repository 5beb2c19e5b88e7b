SELECT format('parameter %s: %s', parname, paracl) FROM pg_parameter_acl
