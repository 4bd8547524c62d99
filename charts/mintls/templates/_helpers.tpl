{{/* Names are fixed: there is one installation per cluster, and addresses and kept Secrets must not depend on what
     the release is called. */}}
{{- define "mintls.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/part-of: mintls
{{ include "mintls.selector" . }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "mintls.selector" -}}
app.kubernetes.io/name: mintls-{{ .component }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- end }}

{{- define "mintls.image" -}}
{{- with .Values.image -}}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{- define "mintls.issuerURL" -}}
{{- .Values.issuer.url | default (printf "https://mintls-issuer.%s.svc:8443" .Release.Namespace) -}}
{{- end }}

{{- define "mintls.mtlsURL" -}}
{{- .Values.issuer.mtlsURL | default (printf "https://mintls-issuer.%s.svc:9443" .Release.Namespace) -}}
{{- end }}

{{/* The options that operator and issuer share. */}}
{{- define "mintls.arguments" -}}
- --issuer-url={{ include "mintls.issuerURL" . }}
- --mtls-url={{ include "mintls.mtlsURL" . }}
- --trust-domain={{ .Values.trustDomain }}
- --cluster-domain={{ .Values.clusterDomain }}
- --operator-namespace={{ .Release.Namespace }}
{{- end }}

{{- define "mintls.verbosity" -}}
{{- with int .verbosity }}-{{ repeat . "v" }}{{ end }}
{{- end }}

{{/* What a pod of either component has, given .root, .component and .values (those of the component). */}}
{{- define "mintls.podMetadata" -}}
labels:
  {{- include "mintls.labels" . | nindent 2 }}
  {{- with .values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .values.podAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "mintls.podSpec" -}}
serviceAccountName: mintls-{{ .component }}
# The issuer's Service would put an environment variable per port into every pod.
enableServiceLinks: false
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.podSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- range . }}
  {{- $selector := dict "labelSelector" (dict "matchLabels" (include "mintls.selector" $ | fromYaml)) }}
  - {{ merge (deepCopy .) $selector | toYaml | nindent 4 | trim }}
  {{- end }}
{{- end }}
{{- end }}

{{- define "mintls.container" -}}
image: {{ include "mintls.image" .root | quote }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
{{- with .values.securityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Live: it is not stuck. Started: it answers at all; until then nobody asks whether it is live. */}}
{{- define "mintls.probes" -}}
startupProbe:
  httpGet: {path: /livez, port: {{ . }}}
  periodSeconds: 1
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /livez, port: {{ . }}}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 3
readinessProbe:
  httpGet: {path: /readyz, port: {{ . }}}
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 2
{{- end }}
