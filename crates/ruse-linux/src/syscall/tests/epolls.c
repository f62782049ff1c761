// epoll, eventfd, timerfd: triggers, nesting, loops, hostile arguments.
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
static void epolls(void){
  int e=epoll_create1(EPOLL_CLOEXEC);
int p[2];
pipe(p);
struct epoll_event v={EPOLLIN,{.u64=42}},o[10];
  CHECK(epoll_ctl(e,EPOLL_CTL_ADD,p[0],&v)==0);
FAILS(epoll_ctl(e,EPOLL_CTL_ADD,p[0],&v),EEXIST);
  FAILS(epoll_ctl(e,EPOLL_CTL_ADD,e,&v),EINVAL);
FAILS(epoll_ctl(e,EPOLL_CTL_MOD,p[1],&v),ENOENT);
  int fd=open("/tmp/x",O_RDWR|O_CREAT,0600);
FAILS(epoll_ctl(e,EPOLL_CTL_ADD,fd,&v),EPERM);
close(fd);
  CHECK(epoll_wait(e,o,10,0)==0);
write(p[1],"ab",2);
  CHECK(epoll_wait(e,o,10,-1)==1 && o[0].data.u64==42 && o[0].events==EPOLLIN);
CHECK(epoll_wait(e,o,10,0)==1);
  v.events=EPOLLIN|EPOLLET;
CHECK(epoll_ctl(e,EPOLL_CTL_MOD,p[0],&v)==0);
  CHECK(epoll_wait(e,o,10,0)==1);
CHECK(epoll_wait(e,o,10,0)==0);
write(p[1],"c",1);
CHECK(epoll_wait(e,o,10,0)==1);
CHECK(epoll_wait(e,o,10,10)==0);
  v.events=EPOLLIN|EPOLLONESHOT;
epoll_ctl(e,EPOLL_CTL_MOD,p[0],&v);
CHECK(epoll_wait(e,o,10,0)==1);
CHECK(epoll_wait(e,o,10,0)==0);
  epoll_ctl(e,EPOLL_CTL_MOD,p[0],&v);
CHECK(epoll_wait(e,o,10,0)==1);
  int e2=epoll_create1(0),e3=epoll_create1(0);
v.events=EPOLLIN;
CHECK(epoll_ctl(e2,EPOLL_CTL_ADD,e,&v)==0);
CHECK(epoll_ctl(e3,EPOLL_CTL_ADD,e2,&v)==0);
FAILS(epoll_ctl(e,EPOLL_CTL_ADD,e3,&v),ELOOP);
  epoll_ctl(e,EPOLL_CTL_MOD,p[0],&v);
CHECK(epoll_wait(e3,o,10,0)==1);
struct pollfd f={e3,POLLIN};
CHECK(poll(&f,1,0)==1);
  int d=dup(p[0]);
close(p[0]);
CHECK(epoll_wait(e,o,10,0)==1);
close(d);
CHECK(epoll_wait(e,o,10,0)==0);
  FAILS(epoll_wait(e,o,0,0),EINVAL);
FAILS(epoll_wait(e,o,-1,0),EINVAL);
FAILS(epoll_wait(p[1],o,1,0),EINVAL);
FAILS(epoll_wait(99,o,1,0),EBADF);
  int prev=epoll_create1(0);
int depth=0;
for(int i=0;i<10;i++){int n=epoll_create1(0);
if(epoll_ctl(n,EPOLL_CTL_ADD,prev,&v)) {CHECK(errno==ELOOP);break;} depth++;
prev=n;} CHECK(depth<=5);
  close(p[1]);
close(e);close(e2);close(e3);
  int ev=eventfd(3,EFD_NONBLOCK|EFD_SEMAPHORE);
long long x;
for(int i=0;i<3;i++) CHECK(read(ev,&x,8)==8&&x==1);
FAILS(read(ev,&x,8),EAGAIN);
  x=-1;
FAILS(write(ev,&x,8),EINVAL);
x=-2;
CHECK(write(ev,&x,8)==8);
x=1;
FAILS(write(ev,&x,8),EAGAIN);
FAILS(read(ev,&x,4),EINVAL);
close(ev);
  int t=timerfd_create(CLOCK_MONOTONIC,0);
struct itimerspec its={{0,10000000},{0,20000000}},cur;
CHECK(timerfd_settime(t,0,&its,0)==0);
CHECK(timerfd_gettime(t,&cur)==0 && cur.it_value.tv_nsec>0 && cur.it_value.tv_nsec<=20000000);
  CHECK(read(t,&x,8)==8&&x>=1);
e=epoll_create1(0);
v.events=EPOLLIN;
epoll_ctl(e,EPOLL_CTL_ADD,t,&v);
CHECK(epoll_wait(e,o,1,1000)==1);
usleep(50000);
CHECK(read(t,&x,8)==8&&x>=4);
close(t);
close(e);
}

int main(void) {
    signal(SIGPIPE, SIG_IGN);
    epolls();
    return 0;
}
