// Unix sockets: streams, packets, names, files on their way, garbage.
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
static void* writer(void*a){
usleep(20000);
int fd=*(int*)a;
write(fd,"hi",2);
return 0;
}
static int sendfd(int s,int fd){
char c[CMSG_SPACE(4)];
struct iovec v={"x",1};
struct msghdr m={.msg_iov=&v,.msg_iovlen=1,.msg_control=c,.msg_controllen=sizeof c};
struct cmsghdr*h=CMSG_FIRSTHDR(&m);
h->cmsg_level=SOL_SOCKET;h->cmsg_type=SCM_RIGHTS;h->cmsg_len=CMSG_LEN(4);*(int*)CMSG_DATA(h)=fd;
return sendmsg(s,&m,0);} 
static int recvfd(int s){
char c[CMSG_SPACE(4)],b;
struct iovec v={&b,1};
struct msghdr m={.msg_iov=&v,.msg_iovlen=1,.msg_control=c,.msg_controllen=sizeof c};
if(recvmsg(s,&m,MSG_CMSG_CLOEXEC)!=1) return -1;
struct cmsghdr*h=CMSG_FIRSTHDR(&m);
if(!h||h->cmsg_len!=CMSG_LEN(4)) return -2;
return *(int*)CMSG_DATA(h);} 
static void unixes(void){
  int s[2];
char b[100];
CHECK(socketpair(AF_UNIX,SOCK_STREAM,0,s)==0);
  CHECK(write(s[0],"hello",5)==5);
CHECK(recv(s[1],b,100,MSG_PEEK)==5);
CHECK(read(s[1],b,2)==2);
CHECK(read(s[1],b,100)==3);
  FAILS(recv(s[1],b,1,MSG_DONTWAIT),EAGAIN);
struct timeval tv={0,30000};
CHECK(setsockopt(s[1],SOL_SOCKET,SO_RCVTIMEO,&tv,sizeof tv)==0);
FAILS(recv(s[1],b,1,0),EAGAIN);
FAILS(read(s[1],b,1),EAGAIN);
  pthread_t th;
tv.tv_usec=0;
setsockopt(s[1],SOL_SOCKET,SO_RCVTIMEO,&tv,sizeof tv);
pthread_create(&th,0,writer,&s[0]);
CHECK(read(s[1],b,10)==2);
pthread_join(th,0);
  CHECK(shutdown(s[0],SHUT_WR)==0);
CHECK(read(s[1],b,1)==0);
CHECK(write(s[1],"back",4)==4);
CHECK(read(s[0],b,10)==4);
FAILS(write(s[0],"x",1),EPIPE);
  struct pollfd f={s[1],POLLIN|POLLRDHUP};
CHECK(poll(&f,1,0)==1 && f.revents==(POLLIN|POLLRDHUP));
close(s[0]);
CHECK(poll(&f,1,0)==1 && (f.revents&POLLHUP));
close(s[1]);
  socketpair(AF_UNIX,SOCK_SEQPACKET,0,s);
write(s[0],"one",3);
write(s[0],"twotwo",6);
CHECK(read(s[1],b,100)==3);
CHECK(recv(s[1],b,3,MSG_TRUNC)==6);
close(s[0]);
CHECK(read(s[1],b,1)==0);
close(s[1]);
  struct sockaddr_un a={AF_UNIX,"/tmp/sock"};
int l=socket(AF_UNIX,SOCK_STREAM,0);
CHECK(bind(l,(void*)&a,sizeof a)==0);
FAILS(bind(l,(void*)&a,sizeof a),EINVAL);
  int c=socket(AF_UNIX,SOCK_STREAM,0);
FAILS(connect(c,(void*)&a,sizeof a),ECONNREFUSED);
CHECK(listen(l,1)==0);
CHECK(connect(c,(void*)&a,sizeof a)==0);
FAILS(connect(c,(void*)&a,sizeof a),EISCONN);
  struct sockaddr_un p;
socklen_t n=sizeof p;
int d=accept(l,(void*)&p,&n);
CHECK(d>=0&&n==2);
n=sizeof p;
CHECK(getpeername(c,(void*)&p,&n)==0 && !strcmp(p.sun_path,"/tmp/sock"));
struct{int pid,uid,gid;}cr;
n=sizeof cr;
CHECK(getsockopt(c,SOL_SOCKET,SO_PEERCRED,&cr,&n)==0&&cr.pid==getpid());
  int q=socket(AF_UNIX,SOCK_STREAM,0);
FAILS(bind(q,(void*)&a,sizeof a),EADDRINUSE);
unlink("/tmp/sock");
FAILS(connect(q,(void*)&a,sizeof a),ENOENT);
close(q);
  int pp[2];
pipe(pp);
CHECK(sendfd(c,pp[1])==1);
close(pp[1]);
int r=recvfd(d);
CHECK(r>=0);
CHECK(fcntl(r,F_GETFD)==FD_CLOEXEC);
write(r,"z",1);
CHECK(read(pp[0],b,1)==1&&*b=='z');
close(r);
CHECK(read(pp[0],b,1)==0);
close(pp[0]);
  close(c);close(d);close(l);
  struct sockaddr_un ab={AF_UNIX};
memcpy(ab.sun_path,"\0abs",4);
int g=socket(AF_UNIX,SOCK_DGRAM,0),h=socket(AF_UNIX,SOCK_DGRAM,0);
CHECK(bind(g,(void*)&ab,2+4)==0);
CHECK(sendto(h,"dg",2,0,(void*)&ab,6)==2);
n=sizeof p;
CHECK(recvfrom(g,b,10,0,(void*)&p,&n)==2&&n==0);
close(g);
FAILS(sendto(h,"dg",2,0,(void*)&ab,6),ECONNREFUSED);
close(h);
  /* loops of sockets in each other */
  for(int i=0;i<3000;i++){
int x[2];
if(socketpair(AF_UNIX,SOCK_STREAM,0,x)) {CHECK(0);break;} if(sendfd(x[0],x[1])!=1||sendfd(x[1],x[0])!=1){CHECK(0);break;} close(x[0]);close(x[1]);
}
  /* a long chain */
  int prev=-1;
for(int i=0;i<8000;i++){
int x[2];
if(socketpair(AF_UNIX,SOCK_STREAM,0,x)){CHECK(0);break;} if(prev>=0){
if(sendfd(x[0],prev)!=1){CHECK(errno==109);close(x[0]);close(x[1]);break;} close(prev);} close(x[0]);
prev=x[1];
} close(prev);
  /* garbage */
  socketpair(AF_UNIX,SOCK_STREAM,0,s);
struct msghdr m;
memset(&m,0xff,sizeof m);
CHECK(sendmsg(s[0],&m,0)==-1);
CHECK(recvmsg(s[0],&m,0)==-1);
memset(&m,0,sizeof m);
m.msg_iovlen=1025;
FAILS(sendmsg(s[0],&m,0),EMSGSIZE);
struct iovec v={b,-1};
m.msg_iov=&v;
m.msg_iovlen=1;
FAILS(sendmsg(s[0],&m,0),EINVAL);
m.msg_iovlen=0;
m.msg_control=b;
m.msg_controllen=100;
memset(b,0xff,100);
FAILS(sendmsg(s[0],&m,0),EINVAL);
m.msg_controllen=-1;
FAILS(sendmsg(s[0],&m,0),ENOBUFS);
  FAILS(sendmsg(0,&m,0),ENOTSOCK);
FAILS(connect(s[0],(void*)&a,-1),EINVAL);
FAILS(setsockopt(s[0],SOL_SOCKET,SO_RCVBUF,b,-1),EINVAL);
close(s[0]);close(s[1]);
  FAILS(socket(99,1,0),EAFNOSUPPORT);
FAILS(socket(AF_INET,SOCK_RAW,1),EPERM);
}

int main(void) {
    signal(SIGPIPE, SIG_IGN);
    unixes();
    return 0;
}
