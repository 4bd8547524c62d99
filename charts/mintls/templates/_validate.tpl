{{/* What a schema could only refuse by quoting a regular expression, in words. */}}
{{- define "mintls.validate" -}}
{{- $v := .Values }}
{{- range $name, $url := dict "issuer.url" $v.issuer.url "issuer.mtlsURL" $v.issuer.mtlsURL }}
{{- if and $url (not (regexMatch "^https://[^/?#\\s@]+(/[^?#\\s]*[^/?#\\s])?$" $url)) }}
{{- fail (printf "%s: %q must be a URL that begins with https:// and has no query, no fragment and no slash at its end, such as https://tokens.example.com (RFC 8414 section 2)" $name $url) }}
{{- end }}
{{- end }}
{{- range $name, $domain := dict "trustDomain" $v.trustDomain "clusterDomain" $v.clusterDomain }}
{{- if not (regexMatch "^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$" $domain) }}
{{- fail (printf "%s: %q must be a domain in lower case without a dot at its end, such as cluster.local" $name $domain) }}
{{- end }}
{{- end }}
{{- range $name, $interval := dict "metrics.podMonitor.interval" $v.metrics.podMonitor.interval "metrics.serviceMonitor.interval" $v.metrics.serviceMonitor.interval }}
{{- if not (regexMatch "^([0-9]+(ms|s|m|h))+$" $interval) }}
{{- fail (printf "%s: %q must be a duration with a unit, such as 30s" $name $interval) }}
{{- end }}
{{- end }}
{{- with $v.issuer.tracing.endpoint }}
{{- if not (regexMatch "^https?://[^/?#\\s@]+(/[^?#\\s]*)?$" .) }}
{{- fail (printf "issuer.tracing.endpoint: %q must be a URL that begins with http:// or https://, such as http://otel-collector.monitoring:4318" .) }}
{{- end }}
{{- end }}
{{- with $v.image.digest }}
{{- if not (regexMatch "^sha256:[0-9a-f]{64}$" .) }}
{{- fail (printf "image.digest: %q must be sha256: and 64 hexadecimal digits, as the registry says it" .) }}
{{- end }}
{{- end }}
{{- range $component, $values := dict "issuer" $v.issuer "operator" $v.operator }}
{{- $allowed := toString $values.podDisruptionBudget.maxUnavailable }}
{{- if not (regexMatch "^[0-9]+%?$" $allowed) }}
{{- fail (printf "%s.podDisruptionBudget.maxUnavailable: %q must be a number or a percentage, such as 1 or 25%%" $component $allowed) }}
{{- end }}
{{- end }}
{{- if and $v.issuer.extAuthz.enabled (not $v.issuer.proxies) }}
{{- fail "issuer.extAuthz: it is enabled, and issuer.proxies names no proxy that may ask: name one, such as {client: edge/gateway, format: xfcc}" }}
{{- end }}
{{- with $v.issuer.autoscaling }}
{{- if gt (int .minReplicas) (int .maxReplicas) }}
{{- fail (printf "issuer.autoscaling: minReplicas (%d) must not be more than maxReplicas (%d)" (int .minReplicas) (int .maxReplicas)) }}
{{- end }}
{{- end }}
{{- if and $v.metrics.podMonitor.enabled $v.metrics.serviceMonitor.enabled }}
{{- fail "metrics: podMonitor and serviceMonitor are both enabled, and everything would be counted twice: enable one of them" }}
{{- end }}
{{- end }}
