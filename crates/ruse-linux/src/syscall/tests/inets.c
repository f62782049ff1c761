// TCP and UDP on the loopback network of a box.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
static void inets(void){
  char b[100000];
int l=socket(AF_INET,SOCK_STREAM,0),one=1;
setsockopt(l,SOL_SOCKET,SO_REUSEADDR,&one,4);
struct sockaddr_in a={AF_INET,htons(7777),{htonl(INADDR_LOOPBACK)}},p;
socklen_t n;
  int c=socket(AF_INET,SOCK_STREAM,0);
FAILS(connect(c,(void*)&a,sizeof a),ECONNREFUSED);
  CHECK(bind(l,(void*)&a,sizeof a)==0);
CHECK(listen(l,5)==0);
CHECK(connect(c,(void*)&a,sizeof a)==0);
n=sizeof p;
int d=accept(l,(void*)&p,&n);
CHECK(d>=0&&n==16&&p.sin_family==AF_INET);
struct sockaddr_in q;
n=sizeof q;
getsockname(c,(void*)&q,&n);
CHECK(q.sin_port==p.sin_port&&q.sin_addr.s_addr==htonl(INADDR_LOOPBACK));
  CHECK(send(c,"tcp",3,0)==3);
CHECK(recv(d,b,10,0)==3);
setsockopt(c,IPPROTO_TCP,TCP_NODELAY,&one,4);
n=4;
int v=0;
CHECK(getsockopt(c,IPPROTO_TCP,TCP_NODELAY,&v,&n)==0&&v==1);
  shutdown(c,SHUT_WR);
CHECK(recv(d,b,1,0)==0);
send(d,"x",1,0);
CHECK(recv(c,b,1,0)==1);
close(c);close(d);
  c=socket(AF_INET,SOCK_STREAM|SOCK_NONBLOCK,0);
FAILS(connect(c,(void*)&a,sizeof a),EINPROGRESS);
struct pollfd f={c,POLLOUT};
CHECK(poll(&f,1,1000)==1&&f.revents==POLLOUT);
n=4;
CHECK(getsockopt(c,SOL_SOCKET,SO_ERROR,&v,&n)==0&&v==0);
d=accept(l,0,0);
close(d);
CHECK(poll(&f,1,0)==1);
close(c);
  struct sockaddr_in bad=a;
bad.sin_port=htons(1);
c=socket(AF_INET,SOCK_STREAM|SOCK_NONBLOCK,0);
int r=connect(c,(void*)&bad,sizeof bad);
CHECK(r==-1&&errno==EINPROGRESS);
f.fd=c;
CHECK(poll(&f,1,1000)==1);
n=4;
getsockopt(c,SOL_SOCKET,SO_ERROR,&v,&n);
CHECK(v==ECONNREFUSED);
close(c);
  bad.sin_addr.s_addr=inet_addr("8.8.8.8");
c=socket(AF_INET,SOCK_STREAM,0);
if(!getenv("NET")) FAILS(connect(c,(void*)&bad,sizeof bad),ENETUNREACH);
close(c);
  int m=socket(AF_INET,SOCK_STREAM,0);
FAILS(bind(m,(void*)&a,sizeof a),EADDRINUSE);
close(m);
  int u=socket(AF_INET,SOCK_DGRAM,0),w=socket(AF_INET,SOCK_DGRAM,0);
a.sin_port=htons(7778);
CHECK(bind(u,(void*)&a,sizeof a)==0);
CHECK(sendto(w,"udp",3,0,(void*)&a,sizeof a)==3);
n=sizeof p;
CHECK(recvfrom(u,b,2,MSG_TRUNC,(void*)&p,&n)==3);
CHECK(sendto(u,"re",2,0,(void*)&p,n)==2);
CHECK(recv(w,b,10,0)==2);
CHECK(connect(w,(void*)&a,sizeof a)==0);
CHECK(send(w,"",0,0)==0);
CHECK(recv(u,b,10,0)==0);
close(u);
send(w,"x",1,0);
usleep(1000);
FAILS(send(w,"x",1,0),ECONNREFUSED);
close(w);
  int l6=socket(AF_INET6,SOCK_STREAM,0);
struct sockaddr_in6 a6={AF_INET6,htons(7779)};
CHECK(bind(l6,(void*)&a6,sizeof a6)==0);
listen(l6,5);
a.sin_port=htons(7779);
c=socket(AF_INET,SOCK_STREAM,0);
CHECK(connect(c,(void*)&a,sizeof a)==0);
n=sizeof a6;
d=accept(l6,(void*)&a6,&n);
CHECK(n==28&&IN6_IS_ADDR_V4MAPPED(&a6.sin6_addr));
close(c);close(d);close(l6);
  /* a megabyte */
  pid_t k=fork();
a.sin_port=htons(7777);
if(!k){
close(l);
c=socket(AF_INET,SOCK_STREAM,0);
connect(c,(void*)&a,sizeof a);
char*big=calloc(1,3<<20);
_exit(send(c,big,3<<20,0)==3<<20?0:1);} d=accept(l,0,0);
long got=0;
while((r=read(d,b,sizeof b))>0) got+=r;
CHECK(got==3<<20);
int st;
waitpid(k,&st,0);
CHECK(st==0);
close(d);
close(l);
}

int main(void) {
    signal(SIGPIPE, SIG_IGN);
    inets();
    return 0;
}
